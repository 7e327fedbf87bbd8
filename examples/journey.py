"""A referral from the clinic's first slot to its end, played over HTTP by fhirpy, an ordinary FHIR client.

Start a server (`make serve`) and run: python examples/journey.py http://127.0.0.1:8000/fhir
`make demo` does both on a database that is thrown away.

Every request is printed with its status, and then the state that it left the referral in. After every step the waiting
list is asked for and has to be exactly those who wait.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from fhirpy.base.exceptions import OperationOutcome
from journey_desk import CATEGORY, Desk, ubrn_of
from journey_region import SPECIALTY, SURGERY, concept, reference

Json = dict[str, Any]
STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"
CODE = "https://fhir.nhs.uk/CodeSystem/servicerequest-code"
CONVERSION = "https://fhir-server.example.org/StructureDefinition/provider-conversion-authorisation"
LEEDS, BRADFORD, YORK = "Knee clinic, Leeds", "Knee clinic, Bradford", "Knee clinic, York"


class Journey:
    """The story; steps holds what every step left behind: its name, the state, who waits."""

    def __init__(self, base: str, tell: Callable[[str], None] = print) -> None:
        self.tell = tell
        self.desk = Desk(base, tell)
        self.client = self.desk.client
        self.region = self.desk.region
        self.steps: list[tuple[str, str | None, int]] = []
        self.waiting: set[str] = set()

    def play(self) -> list[tuple[str, str | None, int]]:
        """All of it."""
        self._publish()
        ruth = self._refer()
        self._book(ruth)
        self._review(ruth)
        self._triage(ruth)
        booked = self._rebook_urgent(ruth)
        booked = self._move(ruth, booked)
        self._cancel_clinic(ruth, booked)
        self._advise()
        self._cancel(ruth)
        return self.steps

    # The steps

    def _publish(self) -> None:
        self._title("The trust publishes its clinics")
        self.region.found()
        self.leeds = self.region.publish(LEEDS, 0)
        self.region.publish_urgent(self.leeds)
        self.region.publish(BRADFORD, 1)
        self.region.publish(YORK, 2)
        self._step("published", None)

    def _refer(self) -> Json:
        self._title("Dr Okoro looks for knee clinics, nearest first and then soonest first")
        code = f"{SPECIALTY}|{self.region.specialty}"
        asked = {"specialty": code, "type": "appointment", "near": SURGERY}
        for sort in ("distance", "wait"):
            found = self.desk.matches(
                "HealthcareService/$find-for-referral", asked | {"sort": sort}
            )
            self.tell(f"    {sort}: " + "; ".join(item["name"] for item in found))
            assert len(found) == 3
        self._title("and refers Ruth with a letter to the three of them")
        referral = self.desk.referral("Ruth", found, "routine")
        self.desk.letter(referral, "Her knee gives way on stairs.")
        self._waits(referral)
        self._step("referred", referral)
        return referral

    def _book(self, referral: Json) -> None:
        self._title("Ruth finds a time, holds it while she thinks, and books it")
        proposal = self.desk.times(referral)[0]
        self._refuse_urgent(referral)
        booked = self.desk.book_proposal(referral, proposal)
        self.tell(f"    at {booked['start']}")
        self._step("booked", referral)

    def _refuse_urgent(self, referral: Json) -> None:
        """An urgent slot is not for a routine referral."""
        slot = self.desk.urgent_slots(self.leeds)[-1]
        try:
            self.desk.appointment("Ruth", referral, slot)
        except OperationOutcome as refusal:
            issue = refusal.resource["issue"][0]
            code = issue["details"]["coding"][-1]["code"]
            self.tell(f"    the urgent slot is refused: {code}: {issue['diagnostics']}")
            assert code == "INAPPROPRIATE_SLOT"
        else:
            raise AssertionError("a routine referral got an urgent slot")

    def _review(self, referral: Json) -> None:
        self._title("The clinic reviews the booking and rejects it: triage has to see her first")
        (task,) = self.desk.tasks(referral, "REVIEW")
        self.tell(f"    the worklist has {task['code']['coding'][0]['code']} {task['status']}")
        self.desk.do(
            "ServiceRequest", referral, "record-outcome", outcome="REJECT",
            reason="SERVICE_PREREQUISITES_NOT_COMPLETE", comment="Please send her to triage",
        )  # fmt: skip
        self._step("rejected", referral)

    def _triage(self, referral: Json) -> None:
        self._title("Dr Okoro sends her for triage, which returns her with advice")
        self.desk.change(referral, performer=[reference(self.region.services["Knee triage"])])
        self._step("shortlist changed", referral)
        task = self.desk.do("ServiceRequest", referral, "send-for-triage", comment="Please look")
        self.tell(f"    due by {task['restriction']['period']['end']}")
        self._step("sent for triage", referral)
        advice = "X-ray shows a loose body. Book urgently."
        self.desk.do(
            "ServiceRequest",
            referral,
            "record-outcome",
            outcome="RETURN_WITH_ADVICE",
            comment=advice,
        )
        self._step("returned with advice", referral)

    def _rebook_urgent(self, referral: Json) -> Json:
        self._title(
            "Dr Okoro makes the referral urgent and gives it to Leeds; Ruth has an urgent slot"
        )
        self.desk.change(
            referral, priority="urgent", performer=[reference(self.region.services[LEEDS])]
        )
        self._step("made urgent", referral)
        booked = self.desk.appointment("Ruth", referral, self.desk.urgent_slots(self.leeds)[0])
        self.desk.do("ServiceRequest", referral, "record-outcome", outcome="ACCEPT")
        self._step("booked as urgent", referral)
        return booked

    def _move(self, referral: Json, booked: Json) -> Json:
        self._title("Ruth moves her appointment; the old slot is free at the same moment")
        old = booked["slot"][0]
        slot = reference(self.desk.urgent_slots(self.leeds)[0])
        moved = self.desk.do("Appointment", booked, "rebook", slot=slot)
        assert self.client.execute(old["reference"], "get")["status"] == "free"
        self.tell(f"    from {booked['start']} to {moved['start']}")
        self._step("moved", referral)
        return moved

    def _cancel_clinic(self, ruth: Json, booked: Json) -> None:
        self._title(
            "Tom is referred to Leeds too and books; then the clinic of that day is cancelled"
        )
        tom = self.desk.referral("Tom", [self.region.services[LEEDS]], "routine")
        self._waits(tom)
        first = self.desk.free(self.leeds)[0]
        self.desk.appointment("Tom", tom, first)
        self._step("Tom booked", tom)
        day = self.region.monday.date().isoformat()
        schedule = {"id": self.leeds["id"]}
        asked = {"start": f"{day}T00:00:00Z", "end": f"{day}T23:59:59Z", "reason": "Surgeon is ill"}
        self.desk.do("Schedule", schedule, "cancel-clinic", **asked)
        self._step("Ruth displaced", ruth)
        self._step("Tom displaced", tom)
        assert self.client.execute(f"Appointment/{booked['id']}", "get")["status"] == "cancelled"
        self._title("Both are displaced, and both get another time")
        later = self.region.publish(LEEDS, 3)
        for name, referral in (("Ruth", ruth), ("Tom", tom)):
            (task,) = self.desk.tasks(referral, "DISPLACED_APPOINTMENT", by="based-on")
            self.desk.appointment(name, referral, self.desk.free(later)[0])
            self.client.resource("Task", **(task | {"status": "completed"})).save()
            self._step(f"{name} rebooked", referral)

    def _advise(self) -> None:
        self._title("Dr Okoro asks for advice about Tom's other knee and allows its conversion")
        line = reference(self.region.services["Knee advice line"])
        question = self.region.create(
            "ServiceRequest",
            extension=[{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}],
            category=[concept(CATEGORY, "request")],
            code=concept(CODE, "advice-and-guidance"),
            performer=[line],
            **self.desk.about("Tom", "routine"),
        )
        asked = {"status": "completed", "basedOn": [reference(question)]}
        doctor = reference(self.region.doctor)
        self.desk.say(asked, doctor, "Is an injection enough?")
        self.desk.say(asked, line, "Is there swelling?")
        self.desk.say(asked, doctor, "Yes, for a month.")
        self._step("advice asked", question)
        self._title("The clinic makes a referral of it, under the same UBRN")
        service = reference(self.region.services[BRADFORD])
        referral = self.desk.do(
            "ServiceRequest",
            question,
            "convert-advice",
            guidance="We shall see him",
            service=service,
        )
        assert ubrn_of(referral) == ubrn_of(question)
        self._waits(referral)
        self._step("advice converted", referral)
        proposal = self.desk.times(referral)[0]
        self.desk.book_proposal(referral, proposal)
        self._step("booked by the clinic", referral)

    def _cancel(self, referral: Json) -> None:
        self._title("Ruth goes private; the referral ends with its appointment and its Tasks")
        self.desk.do("ServiceRequest", referral, "cancel", reason="INTEND_PRIVATE")
        self.waiting.discard(referral["id"])
        assert not self.desk.tasks(referral, "REVIEW")
        self._step("cancelled", referral)

    # What is told and checked

    def _waits(self, referral: Json) -> None:
        self.waiting.add(referral["id"])

    def _step(self, name: str, referral: Json | None) -> None:
        """Note the state of the referral, and that the waiting list is those who wait."""
        state = None
        if referral is not None:
            state = _state(self.client.execute(f"ServiceRequest/{referral['id']}", "get"))
        code = f"{SPECIALTY}|{self.region.specialty}"
        bundle = self.client.execute(
            "ServiceRequest/$waiting-list", "get", params={"specialty": code}
        )
        found = [entry["resource"] for entry in bundle["entry"]]
        listed = {item["id"] for item in found if item["resourceType"] == "ServiceRequest"}
        (report,) = (item for item in found if item["resourceType"] == "MeasureReport")
        counted = {group["population"][0]["count"] for group in report["group"]}
        assert (listed, counted, bundle["total"]) == (self.waiting, {len(listed)}, len(listed))
        self.steps.append((name, state, len(listed)))
        told = f"{name}: {state}" if state else name
        self.tell(f"  = {told}; on the waiting list: {len(listed)}")

    def _title(self, text: str) -> None:
        self.tell(f"\n{text}")


def _state(referral: Json) -> str | None:
    for item in referral.get("extension", ()):
        if item["url"] == STATE:
            parts = {part["url"]: part for part in item["extension"]}
            found: str = parts["state"]["valueCoding"]["code"]
            return found
    return None


def main(arguments: list[str]) -> int:
    """Play it against the server at that base."""
    base = arguments[0] if arguments else "http://127.0.0.1:8000/fhir"
    Journey(base.rstrip("/")).play()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
