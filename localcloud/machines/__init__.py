"""EC2 instances that run commands: process groups of this machine, each instance with a folder for its disk.

What is there: the states with their transitions, Run Command through an agent, `shutdown` that switches the instance
off, a disk that outlives a stop. What is not: an operating system. Nothing boots, user data never runs, and there is no
isolation: a command is a process of this machine's user, with its file system and network.
"""
