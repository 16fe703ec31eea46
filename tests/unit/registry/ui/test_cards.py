"""A card does nothing but say what it says."""

import re

import pytest

from mlplat.registry.ui import cards


def test_markdown_becomes_html_below_the_headings_of_the_page() -> None:
    html = cards.render("# A\n\n##### B\n\nwords *and* `code`\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n")
    for part in ("<h3>A</h3>", "<h6>B</h6>", "<em>and</em> <code>code</code>", "<th>a</th>", "<td>1</td>"):
        assert part in html
    assert "style" not in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick=x>b</b>",
        "<style>*{}</style>",
        "![x](https://evil.example/x.png)",
        "![x][y]\n\n[y]: https://evil.example/x.png",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,x)",
        "[x](vbscript:x)",
        "[x](//evil.example)",
        "[x](../../logout)",
        "[x](/ui/logout)",
        "<javascript:alert(1)>",
        '[x](https://a.example/" onmouseover="x)',
        '```" onclick=x\n```',
        "[x]: javascript:x\n\n[x]",
        "[x](http://[evil)",
        "\u202egnp.exe",
    ],
)
def test_nothing_of_it_runs_or_is_loaded(text: str) -> None:
    html = cards.render(text)
    for tag in re.findall(r"<([^>]*)>", html):
        assert re.fullmatch(
            r'/?(p|em|pre|a|code)|a href="https?://[^"]*"( title="[^"]*")? rel="noopener nofollow"|code class="[^"]*"',
            tag,
        ), html


def test_links_lead_only_to_other_sites_and_mails() -> None:
    html = cards.render("[a](https://a.example/x) [b](http://b.example) [c](mailto:c@example.org) <https://d.example>")
    assert re.findall(r'href="([^"]*)" rel="noopener nofollow"', html) == [
        "https://a.example/x",
        "http://b.example",
        "mailto:c@example.org",
        "https://d.example",
    ]


def test_a_long_card_is_cut() -> None:
    assert len(cards.render("a" * 10**6)) < cards.MOST_CHARACTERS + 100
