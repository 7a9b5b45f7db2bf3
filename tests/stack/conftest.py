"""What several tests of the stack share."""

import json
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
JARS = ["velocity", "commons-lang", "commons-collections3", "jackson-databind", "jackson-core", "jackson-annotations"]


@pytest.fixture(scope="session")
def velocity(tmp_path_factory):
    """Renders mapping templates: a list of cases, as Render.java takes them, to a list of results."""
    classes = tmp_path_factory.mktemp("classes")
    path = ":".join([str(classes), *(f"/usr/share/java/{jar}.jar" for jar in JARS)])
    subprocess.run(["javac", "-Xlint:-options", "-cp", path, "-d", classes, HERE / "Render.java"], check=True, timeout=120)

    process = subprocess.Popen(["java", "-cp", path, "Render"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def render(cases):
        process.stdin.write(json.dumps(cases) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the renderer ended: its error is above"
        return json.loads(answer)

    yield render
    process.stdin.close()
    process.wait(timeout=30)
