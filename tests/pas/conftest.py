"""A server with a PAS that has to confirm, on each database."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "booking"))
sys.path.insert(1, str(Path(__file__).parents[1] / "referral"))

from booking_clinic import Clinic
from pas_doors import DOORS
from pas_player import Pas


@pytest.fixture(scope="session")
def player():
    made = Pas()
    yield made
    made.close()


@pytest.fixture(scope="session")
def token(tmp_path_factory):
    """The file of the token that the PAS wants."""
    made = tmp_path_factory.mktemp("token") / "token"
    made.write_text("secret\n")
    return made


@pytest.fixture(scope="session")
def confirmed(databases, player, token):
    """The client of a server that waits a second for the PAS, with a token, and holds slots for two."""
    running = databases.server(
        pas_url=player.url, pas_timeout="1", hold_seconds="2", pas_token_file=str(token)
    )
    with httpx.Client(base_url=running.base + "/", timeout=30) as made:
        yield made


@pytest.fixture
def pas(player):
    """The PAS of that server, which says yes at first."""
    player.says, player.seconds = "yes", 0.0
    yield player
    player.says, player.seconds = "yes", 0.0


@pytest.fixture
def clinic(confirmed, pas) -> Clinic:
    """A clinic of its own on that server."""
    return Clinic(confirmed)


@pytest.fixture(params=DOORS, ids=lambda item: item.__name__)
def door(request):
    """Each way to book."""
    return request.param
