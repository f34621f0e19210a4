"""Something that happened."""


class Event:
    name = "launch.Event"
