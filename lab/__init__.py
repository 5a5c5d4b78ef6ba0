"""How this machine lends hosts: two for the store and one that plays Let's Encrypt.

Runs before anything is installed, so it needs Python 3.10 or newer and nothing else.
"""
