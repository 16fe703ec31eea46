"""Who comes in, by which key, and how long; and that no other site can make a browser do it."""

from collections.abc import Callable
from typing import Any

from httpx import Client
from tests.unit.registry.ui.conftest import ADMIN, Person, words

from mlplat.registry.service import Service

Make = Callable[..., Person]


def cookies(answer: Any) -> list[str]:
    return list(answer.headers.get_list("set-cookie"))


def test_who_is_not_logged_in_is_led_to_the_log_in_and_back(client: Client, stranger: Make) -> None:
    client.post("/models", json={"name": "iris"})
    someone = stranger()
    led = someone.client.get("/ui/models/iris?sort=version&metric=a%3E1")
    assert (led.status_code, led.headers["location"]) == (
        303,
        "../../ui/login?next=%2Fmodels%2Firis%3Fsort%3Dversion%26metric%3Da%253E1",
    )
    page = someone.open("/ui/models/iris?sort=version&metric=a%3E1")
    assert 'name="next" value="/models/iris?sort=version&amp;metric=a%3E1"' in page
    answer = someone.send(page, "/ui/login", {"key": ADMIN, "next": "/models/iris?sort=version"})
    assert (answer.status_code, answer.headers["location"]) == (303, "../ui/models/iris?sort=version")


def test_the_log_in_leads_nowhere_else(stranger: Make) -> None:
    for onward in ("https://evil.example", "//evil.example", "\\\\evil", "/x\r\nSet-Cookie: a=b", "x", "é"):
        someone = stranger()
        answer = someone.send(someone.open("/ui/login"), "/ui/login", {"key": ADMIN, "next": onward})
        assert answer.status_code == 303
        assert answer.headers["location"] in {"../ui", "../ui//evil.example"}  # beneath this registry, wherever that is


def test_the_cookie_of_a_session_is_for_the_pages_alone(stranger: Make) -> None:
    someone = stranger()
    page = someone.open("/ui/login")
    (set_,) = cookies(someone.send(page, "/ui/login", {"key": ADMIN}))
    parts = set(set_.lower().split("; ")[1:])
    assert parts == {"httponly", "samesite=lax", "max-age=43200"}  # without a path: the folder of the log-in, /ui
    someone = stranger()
    secure = {"Origin": "https://registry.example", "Sec-Fetch-Site": "same-origin"}
    (set_,) = cookies(someone.send(someone.open("/ui/login"), "/ui/login", {"key": ADMIN}, **secure))
    assert "Secure" in set_.split("; ")


def test_the_api_takes_no_session_and_the_pages_no_key(client: Client, person: Make) -> None:
    someone = person("admin")
    session = someone.client.cookies["mlplat_session"]
    bare = Client(base_url=client.base_url, cookies={"mlplat_session": session}, timeout=60)
    with bare:
        for path in ("/models", "/keys", "/audit", "/docs", "/version"):
            assert bare.get(path).status_code == 401
        assert bare.post("/models", json={"name": "x"}).status_code == 401
        assert bare.get("/ui").status_code == 200
    assert client.get("/ui").headers["location"].startswith("./ui/login")  # with the admin's key in a header


def test_keys_that_open_nothing_are_answered_alike(client: Client, stranger: Make, key: Callable[..., Any]) -> None:
    revoked = key("writer")["X-API-Key"]
    client.delete(f"/keys/{revoked.split('_')[1]}")
    expired = client.post("/keys", json={"name": "x", "expires_at": "2020-01-01T00:00:00Z"}).json()["key"]
    someone = stranger()
    page = someone.open("/ui/login")
    answers = [
        someone.send(page, "/ui/login", {"key": wrong})
        for wrong in (revoked, expired, expired[:-1] + "x", "mlp_aaaaaaaa_x", "", "x" * 5000, "\0", "é")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert "This key opens nothing: it is wrong, revoked or expired." in words(answers[0].text)
    assert not [each for answer in answers for each in cookies(answer) if "session" in each]


def test_a_session_ends_by_logging_out_and_by_revoking_the_key(client: Client, person: Make) -> None:
    someone, other = person(), person()
    kept = someone.client.cookies["mlplat_session"]
    answer = someone.send(someone.open("/ui"), "/ui/logout", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "../ui/login")
    assert "mlplat_session" not in someone.client.cookies
    someone.client.cookies.set("mlplat_session", kept)
    assert someone.client.get("/ui").status_code == 303
    assert other.client.get("/ui").status_code == 200
    (key,) = [each for each in client.get("/keys").json()["items"] if each["name"] == "a writer"][-1:]
    client.delete(f"/keys/{key['id']}")
    assert other.client.get("/ui").status_code == 303
    answer = other.client.post("/ui/logout", headers={"Origin": other.url})
    assert (answer.status_code, "You are not logged in" in words(answer.text)) == (401, True)


def test_logging_in_anew_ends_the_session_before(person: Make, stranger: Make) -> None:
    someone = person()
    before = someone.client.cookies["mlplat_session"]
    someone.log_in(ADMIN)
    assert someone.client.cookies["mlplat_session"] != before
    other = stranger()
    other.client.cookies.set("mlplat_session", before)
    assert other.client.get("/ui").status_code == 303


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
]


def test_a_form_of_another_site_is_refused(stranger: Make, person: Make) -> None:
    for someone, to in ((stranger(), "/ui/login"), (person(), "/ui/logout")):
        page = someone.open("/ui/login")
        for headers in FOREIGN:
            answer = someone.send(page, to, {"key": ADMIN}, **headers)
            assert (answer.status_code, "another site" in words(answer.text)) == (403, True), headers
            assert not [each for each in cookies(answer) if "session" in each]


def test_a_form_without_its_token_is_refused(stranger: Make, person: Make) -> None:
    other = stranger().open("/ui/login")
    for someone, to in ((stranger(), "/ui/login"), (person(), "/ui/logout")):
        page = someone.open("/ui/login")
        for token in ("", "x", "é", "0" * 64, other.split('name="form" value="')[1][:64]):
            answer = someone.send(page, to, {"key": ADMIN, "form": token})
            assert (answer.status_code, "This form is not of a page" in words(answer.text)) == (403, True)
        assert someone.client.post(to, headers={"Origin": someone.url}).status_code == 403
        assert someone.client.post(to, headers={"Origin": someone.url}, json={"key": ADMIN}).status_code == 403


def test_a_token_from_before_the_log_in_is_none_after_it(stranger: Make) -> None:
    someone = stranger()
    page = someone.open("/ui/login")
    someone.log_in(ADMIN)
    assert someone.send(page, "/ui/logout", {}).status_code == 403


def test_who_logs_in_counts_as_the_key(client: Client, service: Service, person: Make) -> None:
    client.post("/models", json={"name": "team-a"})
    client.post("/models", json={"name": "other"})
    someone = person("reader", "team-*")
    page = words(someone.open("/ui"))
    assert "a reader" in page
    assert "reader of team-*" in page
    assert "team-a" in page
    assert "other" not in page
    assert "Audit log" not in page
