"""Print the one fenced command under a heading of the README."""

import re
import sys
from pathlib import Path

section = Path("README.md").read_text().split(f"## {sys.argv[1]}\n", 1)[1].split("\n## ", 1)[0]
(command,) = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
print(command.strip())
