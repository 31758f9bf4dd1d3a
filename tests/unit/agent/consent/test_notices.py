import pytest

from agent.consent.notices import LANGUAGES, load_notices
from telemetry.purposes import Purpose


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_purpose_has_a_whole_notice_in_every_language(language: str) -> None:
    notices = load_notices(language)
    assert set(notices) == set(Purpose)
    for purpose, notice in notices.items():
        assert notice.notice_id.rpartition(".")[0] == f"{purpose}.{language}"
        assert notice.language == language
        assert all((notice.title, notice.text, notice.retention, notice.controller))
        assert purpose in notice.withdrawal


def test_no_two_notices_have_the_same_hash() -> None:
    hashes = [notice.sha256 for one in LANGUAGES for notice in load_notices(one).values()]
    assert len(set(hashes)) == len(LANGUAGES) * len(Purpose)


def test_a_language_without_notices_is_an_error_not_english() -> None:
    with pytest.raises(KeyError, match="fr"):
        load_notices("fr")
