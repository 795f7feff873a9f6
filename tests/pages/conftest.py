"""Pages go nowhere: what a user asks for is the one thing that is fetched, and no test here asks for it."""

from tests.outgoing import only_loopback as only_loopback
from tests.outgoing import outgoing as outgoing
from tests.outgoing import refused as refused
