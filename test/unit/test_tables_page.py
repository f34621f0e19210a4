"""The page of tables: kept current from records, its prose kept, by `sray tables`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from table_fixtures import record

from sray.errors import SrayError
from sray_train.cli import main
from sray_train.paper.study.record import add_records
from sray_train.paper.tables.results import outdated, rewritten

REPOSITORY = Path(__file__).resolve().parents[2]

PAGE = "# Mine\n\nprose\n\n<!-- a -->\nold\n<!-- end of a -->\n\nmore \\1 prose\n\n<!-- b -->\n<!-- end of b -->\nend\n"


def test_blocks_are_rewritten_and_prose_is_not() -> None:
    """Of two pages each keeps its own blocks."""
    other = "<!-- c -->\n<!-- end of c -->\n"
    pages = rewritten({"page.md": PAGE, "other.md": other}, {"a": "new \\1", "b": "B", "c": "C"})
    assert pages["page.md"] == PAGE.replace("\nold\n", "\n\nnew \\1\n\n").replace("b -->\n<", "b -->\n\nB\n\n<")
    assert pages["other.md"] == "<!-- c -->\n\nC\n\n<!-- end of c -->\n"
    assert outdated(pages, {"a": "new \\1", "b": "B", "c": "C"}) == []
    assert outdated(pages, {"a": "newer", "b": "B", "c": "D"}) == ["a", "c"]
    assert rewritten(pages, {"b": "B"}) == pages


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PAGE.replace("<!-- end of b -->", ""), "page.md has <!-- end of b --> 0 times"),
        (PAGE.replace("<!-- b -->", "<!-- B -->"), "<!-- b --> is 0 times on page.md, other.md"),
        (PAGE.replace("<!-- a -->", "<!-- c -->"), "<!-- c --> is 2 times on page.md, other.md"),
        (PAGE + "<!-- b -->", "page.md has <!-- b --> 2 times"),
        ("<!-- end of b --> <!-- b -->", "end of b --> above"),
    ],
)
def test_a_page_with_broken_markers_is_refused(page: str, said: str) -> None:
    with pytest.raises(SrayError, match=said):
        rewritten({"page.md": page, "other.md": "<!-- c -->\n<!-- end of c -->\n"}, {"b": "B", "c": "C"})


def tables(results: Path, page: Path, *options: str) -> None:
    main(["tables", "--results", str(results), "--pages", str(page), *options])


def test_the_page_is_made_kept_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, page = tmp_path / "results", tmp_path / "docs" / "results.md"
    results.mkdir()
    add_records(results / "rooms.json", [record(miou=0.5), record("new_idea", 0.6)])
    tables(results, page)
    printed = capsys.readouterr().out
    assert "Table 17" in printed and "new_idea (1)" in printed
    made = page.read_text()
    assert "| 50.0 |" in made and "(images/results/systems.png)" in made
    picture = page.parent / "images" / "results" / "systems.png"
    assert Image.open(picture).width > 100
    page.write_text(made.replace("## Table 1:", "What I think.\n\n## Table 1:"))
    tables(results, page, "--check")

    add_records(results / "rooms.json", [record("neuray", 0.4)])
    with pytest.raises(SystemExit) as stop:
        tables(results, page, "--check")
    for name in ("table 1", "table 2", "systems.png", "Run `sray tables`"):
        assert name in str(stop.value.code)
    assert "table 9" not in str(stop.value.code) and "| 40.0 |" not in page.read_text()
    tables(results, page)
    tables(results, page, "--check")
    assert "| 40.0 |" in page.read_text() and "What I think." in page.read_text()

    picture.write_bytes(b"no picture")
    with pytest.raises(SystemExit, match=r"systems.png. Run `sray tables`"):
        tables(results, page, "--check")


def test_without_records_everything_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, page = tmp_path / "results", tmp_path / "results.md"
    results.mkdir()
    tables(results, page)
    text = page.read_text()
    assert text.count("<!-- end of ") == 16 and "not measured" in text and "needs LLFF's scenes" in text
    assert "**holds**" not in text and ".png" not in text and not (tmp_path / "images").exists()
    tables(results, page, "--check")


def test_a_page_of_several_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    tables(tmp_path / "results", tmp_path / "a.md")
    with pytest.raises(SystemExit, match=r"b.md is not there, .*a.md is; expected all pages, or none"):
        main(
            [
                "tables",
                "--results",
                str(tmp_path / "results"),
                "--pages",
                str(tmp_path / "a.md"),
                str(tmp_path / "b.md"),
            ]
        )


def test_a_file_that_is_no_list_of_records_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    add_records(results / "a.json", [record()])
    (results / "b.json").write_text(json.dumps([{"system": "semantic_ray", "mIoU": 0.5}]))
    with pytest.raises(SystemExit, match=r"b.json: record.0: mIoU is not a field of Record"):
        tables(results, tmp_path / "page.md")
    with pytest.raises(SystemExit, match=r"nowhere is not there"):
        tables(tmp_path / "nowhere", tmp_path / "page.md")
    with pytest.raises(SystemExit, match=r"all of it"):
        tables(results / "a.json", tmp_path / "page.md", "--check")
    assert not (tmp_path / "page.md").exists()


def test_the_committed_page_is_what_the_records_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    main(["tables", "--check"])
