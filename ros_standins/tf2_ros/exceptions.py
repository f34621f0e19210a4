"""The exceptions of a transform look-up. All derive from TransformException, as in tf2."""


class TransformException(Exception):
    """Any failure of a look-up."""


class ConnectivityException(TransformException):
    """The two frames are known, but belong to two trees."""


class LookupException(TransformException):
    """A frame was never heard of, or the tree has a loop."""


class ExtrapolationException(TransformException):
    """The time asked for lies outside the stored history."""


class InvalidArgumentException(TransformException):
    """A frame id is empty or starts with a slash."""
