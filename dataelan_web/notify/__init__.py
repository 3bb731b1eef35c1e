"""What Dataelan tells people by itself: in the product, by mail, and to their programs.

tell      a word to some people, and to the organization's webhooks, in the caller's transaction
limits    the alerts of limits, looked for by every worker
deliver   what waits is sent, tried again and given up, by every worker
"""

from .tell import tell

__all__ = ["tell"]
