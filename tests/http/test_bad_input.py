"""Input that is wrong: the right refusal, nothing stored, the server goes on (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import json

import pytest
from exemplars import (
    JSON,
    SYSTEM,
    XML,
    how_many,
    patient,
    post,
    refused,
    token,
    unique,
)

pytestmark = pytest.mark.usefixtures("goes_on")


# In the place of VALUE stands what is sent; MARK is an identifier by which the test sees that nothing was stored.
IDENTIFIED = '{"resourceType":"Patient","identifier":[{"system":"SYSTEM","value":"MARK"}],VALUE}'

BODIES = {
    "NUL in a string": '"name":[{"family":"a\\u0000b"}]',
    "raw NUL in a string": '"name":[{"family":"a\x00b"}]',
    "raw control character": '"name":[{"family":"a\x01b"}]',
    "escaped control character": '"name":[{"family":"a\\u0001b"}]',
    "escape": '"name":[{"family":"a\\u001bb"}]',
    "lone high surrogate": '"name":[{"family":"\\ud800"}]',
    "lone low surrogate": '"name":[{"family":"\\udfff x"}]',
    "surrogates in the wrong order": '"name":[{"family":"\\udc00\\ud800"}]',
    "surrogate in a name": '"\\ud800":1',
    "NUL in a name": '"a\\u0000":1',
    "duplicate key": '"active":true,"active":true',
    "duplicate key below": '"name":[{"family":"a","family":"a"}]',
    "NaN": '"multipleBirthInteger":NaN',
    "Infinity": '"multipleBirthInteger":Infinity',
    "minus Infinity": '"multipleBirthInteger":-Infinity',
    "integer too large": '"multipleBirthInteger":99999999999',
    "integer of many digits": '"multipleBirthInteger":' + "9" * 5000,
    "integer with a fraction": '"multipleBirthInteger":1.0',
    "integer with an exponent": '"multipleBirthInteger":1e999999',
    "leading zero": '"multipleBirthInteger":01',
    "plus sign": '"multipleBirthInteger":+1',
    "hexadecimal": '"multipleBirthInteger":0x10',
    "integer as text": '"multipleBirthInteger":"1"',
    "exponent beyond computing": '"extension":[{"url":"u:x","valueDecimal":1e99999999999999999999}]',
    "decimal of many digits": '"extension":[{"url":"u:x","valueDecimal":0.%s}]' % ("1" * 5000),
    "decimal as text": '"extension":[{"url":"u:x","valueDecimal":"1.0"}]',
    "boolean as text": '"active":"true"',
    "boolean as number": '"active":1',
    "null": '"active":null',
    "object for a list": '"name":{"family":"a"}',
    "list for a primitive": '"active":[true]',
    "primitive for an object": '"name":["a"]',
    "empty object": '"name":[{}]',
    "empty list": '"name":[]',
    "empty string": '"name":[{"family":""}]',
    "blank string": '"name":[{"family":"  "}]',
    "date that cannot be": '"birthDate":"2026-13-45"',
    "day that cannot be": '"birthDate":"2026-02-29"',
    "year zero": '"birthDate":"0000"',
    "very long year": '"birthDate":"%s"' % ("9" * 10_000),
    "comment": '/* x */"active":true',
    "trailing comma": '"active":true,',
    "single quotes": "'active':true",
    "script in the narrative":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><script>x</script></div>"}',
    "entity in the narrative":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">&foo;</div>"}',
    "narrative that does not end":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p></div>"}',
    "deep nesting": '"extension":' + '[{"extension":' * 10_000 + "[]" + "}]" * 10_000,
    "deep lists": '"name":' + "[" * 10_000 + "]" * 10_000,
    "deep nesting that is not closed": '"name":' + '{"a":[' * 10_000,
    "nesting just too deep": '"extension":' + '[{"url":"u:x","extension":' * 60 + "[]" + "}]" * 60,
    "base64 that is none": '"photo":[{"data":"!!!"}]',
    "contained of a type that does not exist": '"contained":[{"resourceType":"Nothing"}]',
    "contained without a type": '"contained":[{"id":"a"}]',
    "reference that is no text": '"managingOrganization":{"reference":7}',
    "__proto__": '"__proto__":{"a":1}',
}  # fmt: skip


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("value", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_not_fhir_is_refused_and_not_stored(client, value):
    mark, logical_id = unique(), unique()
    body = (
        IDENTIFIED.replace("SYSTEM", SYSTEM).replace("MARK", mark).replace("VALUE", value).encode()
    )
    answer = post(client, body)
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)
    body = body.replace(b"{", b'{"id":"%s",' % logical_id.encode(), 1)
    again = client.put(f"Patient/{logical_id}", content=body, headers={"Content-Type": JSON})
    refused(again, answer.status_code)
    assert how_many(client, "Patient", identifier=mark) == 0
    refused(client.get(f"Patient/{logical_id}"), 404)


ENCODINGS = {
    "UTF-8 with a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16LE": lambda text: text.encode("utf-16-le"),
    "UTF-16BE": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Latin-1": lambda text: text.encode("latin-1"),
    "a byte that is never in UTF-8": lambda text: text.encode().replace(b"\xc3\xa9", b"\xff"),
    "an overlong form": lambda text: text.encode().replace(b"\xc3\xa9", b"\xc0\xaf"),
    "a surrogate in UTF-8": lambda text: text.encode().replace(b"\xc3\xa9", b"\xed\xa0\x80"),
    "a character cut off": lambda text: text.encode().replace(b"\xa9", b""),
    "NUL at the end": lambda text: text.encode() + b"\x00",
}


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("content_type", [JSON, XML])
def test_a_body_that_is_not_plain_utf_8_is_400(client, encode, content_type):
    resource = patient(name=[{"family": "é"}])
    text = json.dumps(resource, ensure_ascii=False)
    if content_type == XML:
        value = resource["identifier"][0]["value"]
        text = (
            f'<Patient xmlns="http://hl7.org/fhir"><identifier><system value="{SYSTEM}"/>'
            f'<value value="{value}"/></identifier><name><family value="é"/></name></Patient>'
        )
        if encode is ENCODINGS["UTF-8 with a byte order mark"]:
            # XML allows it, so it says nothing about the resource.
            assert post(client, encode(text), content_type=XML).status_code == 201
            return
    refused(post(client, encode(text), content_type=content_type), 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


XML_BODIES = {
    "entities that multiply":
        '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Patient xmlns="NS"><language value="&b;"/></Patient>',
    "an external entity":
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient xmlns="NS"><language value="&a;"/></Patient>',
    "an external subset": '<!DOCTYPE Patient SYSTEM "http://example.org/x.dtd"><Patient xmlns="NS"/>',
    "deep nesting": '<Patient xmlns="NS">' + '<extension url="u:x">' * 10_000 + "</extension>" * 10_000 + "</Patient>",
    "deep nesting that is not closed": '<Patient xmlns="NS">' + "<extension>" * 10_000,
    "a character reference to NUL": '<Patient xmlns="NS"><language value="&#0;"/></Patient>',
    "a control character": '<Patient xmlns="NS"><language value="\x01"/></Patient>',
    "a reference to a surrogate": '<Patient xmlns="NS"><language value="&#xD800;"/></Patient>',
    "an undefined entity": '<Patient xmlns="NS"><language value="&nbsp;"/></Patient>',
    "an attribute twice": '<Patient xmlns="NS"><active value="true" value="true"/></Patient>',
    "text": '<Patient xmlns="NS">text</Patient>',
    "an unknown attribute": '<Patient xmlns="NS"><active value="true" x="1"/></Patient>',
    "an unknown element": '<Patient xmlns="NS"><nickname value="x"/></Patient>',
    "the wrong order": '<Patient xmlns="NS"><gender value="male"/><active value="true"/></Patient>',
    "another encoding declared": '<?xml version="1.0" encoding="utf-16"?><Patient xmlns="NS"/>',
    "XML 1.1": '<?xml version="1.1"?><Patient xmlns="NS"><language value="&#1;"/></Patient>',
    "an empty element": '<Patient xmlns="NS"><name/></Patient>',
}  # fmt: skip


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("body", XML_BODIES.values(), ids=XML_BODIES.keys())
def test_xml_that_is_not_fhir_is_400(client, body):
    refused(post(client, body.replace("NS", "http://hl7.org/fhir"), content_type=XML), 400)


NUMBERS = [
    "99999999999999999999",
    "-18446744073709551616",
    "9" * 100,
    "1e999999",
    "-1e999999",
    "1e-999999",
    "1E+400",
    "123456789012345678901234567890.5",
    "0." + "0" * 90 + "1",
]


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("digits", NUMBERS)
@pytest.mark.parametrize("place", ["extension", "quantity", "probability"])
def test_a_decimal_of_any_size_is_stored_exactly_or_refused(client, digits, place):
    """Also where it is indexed, and must fit what a database can hold."""
    mark = unique()
    identifier = f'"identifier":[{{"system":"{SYSTEM}","value":"{mark}"}}]'
    bodies = {
        "extension": ("Patient", f'"extension":[{{"url":"u:x","valueDecimal":{digits}}}]'),
        "quantity": ("Observation", f'"status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{digits}}}'),
        "probability":
            ("RiskAssessment",
             f'"status":"final","subject":{{"display":"x"}},"prediction":[{{"probabilityDecimal":{digits}}}]'),
    }  # fmt: skip
    resource_type, elements = bodies[place]
    answer = post(
        client, f'{{"resourceType":"{resource_type}",{identifier},{elements}}}', resource_type
    )
    assert answer.status_code in (201, 400, 422), answer.text
    if answer.status_code == 201:
        assert f":{digits}}}" in answer.text
        assert f":{digits}}}" in client.get(answer.headers["location"]).text
        in_xml = client.get(answer.headers["location"], headers={"Accept": XML})
        assert f'value="{digits}"' in in_xml.text
    else:
        refused(answer, answer.status_code)
        assert how_many(client, resource_type, identifier=mark) == 0


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "digits", [*NUMBERS, "1e99999999999999999999", "NaN", "Infinity", "1_0", "0x1", "9" * 5000]
)
def test_a_search_for_a_number_of_any_size_is_answered_or_400(client, digits):
    for query in (f"RiskAssessment?probability={digits}", f"Observation?value-quantity={digits}"):
        answer = client.get(query)
        assert answer.status_code in (200, 400), answer.text
