"""Rules of an environment on AWS, a room for each subject; plugins/action/aws_preflight.py asks them all."""
