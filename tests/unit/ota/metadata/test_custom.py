from typing import Any

import pytest

from ota.errors import CustomFieldError
from ota.metadata.custom import (
    DirectorCustom,
    EcuAssignment,
    parse_director_custom,
    parse_image_custom,
    to_custom,
)
from ota.publisher.package import verify_package
from ota.publisher.release import image_custom
from tests.support.publisher import new_package, release


@pytest.fixture
def image(tmp_path: Any) -> dict[str, Any]:
    made = image_custom(release(), verify_package(new_package(tmp_path)))
    return to_custom(made)


def test_what_the_publisher_writes_the_vehicle_reads(image: dict[str, Any]) -> None:
    assert to_custom(parse_image_custom(image)) == image


def test_a_field_of_a_later_version_does_not_lock_out_an_older_vehicle(
    image: dict[str, Any],
) -> None:
    assert parse_image_custom(image | {"of_a_later_version": []}) == parse_image_custom(image)


WRONG: dict[str, Any] = {
    "hardware_ids": [],
    "release_counter": 0,
    "version": "1.0",
    "kind": "os",
    "name": "../x",
}


@pytest.mark.parametrize("field", WRONG)
def test_an_image_field_of_the_wrong_shape_is_refused(image: dict[str, Any], field: str) -> None:
    with pytest.raises(CustomFieldError, match="image custom"):
        parse_image_custom(image | {field: WRONG[field]})
    del image[field]
    with pytest.raises(CustomFieldError, match=field):
        parse_image_custom(image)


@pytest.mark.parametrize(
    "change",
    [
        {"criticality": "recall"},
        {"recall_number": "R-1"},
        {"facts": {}},
        {"criticality": "recall", "recall_number": "R\n1"},
    ],
)
def test_a_recall_has_a_number_and_a_release_has_english_facts(
    image: dict[str, Any], change: dict[str, Any]
) -> None:
    image["release"] |= change
    with pytest.raises(CustomFieldError, match="image custom"):
        parse_image_custom(image)


def test_a_recall_with_its_number_is_read(image: dict[str, Any]) -> None:
    image["release"] |= {"criticality": "recall", "recall_number": "R 2026/14"}
    assert parse_image_custom(image).release.recall_number == "R 2026/14"


@pytest.mark.parametrize("text", [" ", "e\u0301", "a\x1b[2J", "\u202eabc"])
def test_text_for_a_person_cannot_trick_a_screen(image: dict[str, Any], text: str) -> None:
    image["release"]["facts"]["en"]["purpose"] = text
    with pytest.raises(CustomFieldError, match="text for a person"):
        parse_image_custom(image)


def test_a_director_custom_goes_there_and_back_without_an_empty_campaign() -> None:
    made = DirectorCustom(ecus={"ecu-1": EcuAssignment(hardware_id="hw", release_counter=2)})
    plain = to_custom(made)
    assert plain == {"ecus": {"ecu-1": {"hardware_id": "hw", "release_counter": 2}}}
    assert parse_director_custom(plain) == made


@pytest.mark.parametrize("custom", [None, {}, {"ecus": {}}, {"ecus": {"../e": {}}}, [], "x"])
def test_a_director_custom_of_another_shape_is_refused(custom: object) -> None:
    with pytest.raises(CustomFieldError, match="director custom"):
        parse_director_custom(custom)
