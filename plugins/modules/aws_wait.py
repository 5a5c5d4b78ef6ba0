#!/usr/bin/python
"""Documentation of the action plugin aws_wait, which runs on the controller to show progress."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_wait
short_description: Wait for several resources of AWS at once, showing progress
description:
  - Looks at every resource in turn until all are ready, and prints a line whenever one's state changes. The whole takes
    as long as the slowest.
  - Runs on the controller. In check mode it does nothing.
options:
  for:
    type: list
    elements: dict
    required: true
    description: What is awaited. An entry whose C(id) is empty is left out.
    suboptions:
      kind:
        type: str
        required: true
        choices:
          - database
          - master_secret
          - no_database
          - mount_targets
          - certificate
          - distribution
          - balancer
          - group
          - no_group
          - refresh
          - agent
          - command
          - no_interfaces
        description: What it is. The kinds that begin with C(no_) are awaited to be gone.
      id: {type: str, required: true, description: 'Its name, id or ARN; C(group/refresh), C(command/instance).'}
      count: {type: int, description: Healthy instances that a C(group) must have.}
  region: {type: str, description: The region; AWS's own variables say it where it is not given.}
  timeout: {type: int, default: 3600, description: Seconds that all of it may take.}
  delay: {type: float, default: 15, description: Seconds between two looks.}
author: [BookStore team]
"""
EXAMPLES = r"""
- name: Wait for the database and the distribution
  aws_wait:
    for:
      - {kind: database, id: bookstore}
      - {kind: distribution, id: E2EXAMPLE}
"""
RETURN = r"""
results:
  description: For each awaited resource, by its kind, what was seen last.
  type: dict
  returned: always
"""
