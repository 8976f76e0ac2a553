"""A notebook of every lesson, without outputs; needs jupytext: `python examples/notebooks/make.py`.

The scripts are the source. The same script gives the same bytes: no random ids, no versions.
"""

from pathlib import Path

HERE = Path(__file__).parent
LESSONS = sorted(HERE.parent.glob("[0-9][0-9]_*.py"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(lesson: Path) -> str:
    """The lesson as the text of a notebook."""
    import jupytext

    content = jupytext.reads(lesson.read_text(encoding="utf-8"), fmt="py:percent")
    content.metadata = type(content.metadata)(METADATA)
    content.nbformat_minor = 4  # the last format in which cells need no ids
    for cell in content.cells:
        cell.pop("id", None)
        cell.metadata.clear()  # of jupytext's own notes about blank lines
    return str(jupytext.writes(content, fmt="ipynb")).rstrip("\n") + "\n"


def main() -> None:
    """Write all, and remove those whose lesson is gone."""
    made = {HERE / f"{lesson.stem}.ipynb": notebook(lesson) for lesson in LESSONS}
    for path in set(HERE.glob("*.ipynb")) - set(made):
        path.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
