"""Print the shell block that follows `<!-- ci: NAME -->` in the README, so that CI runs what users are told to run."""

import pathlib
import re
import sys


def main() -> int:
    name = sys.argv[1]
    readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- ci: {re.escape(name)} -->\s*```sh\n(.*?)```", readme, flags=re.DOTALL)
    if match is None:
        print(f"README.md has no block named {name!r}", file=sys.stderr)
        return 1
    print(match.group(1), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
