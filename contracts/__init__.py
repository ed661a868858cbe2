"""The ground floor: the words, messages, rows, settings and errors that all rooms share.

Imports none of the other rooms. Importing it costs a few milliseconds: numpy and pydantic, nothing heavier.
"""
