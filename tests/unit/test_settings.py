from __future__ import annotations

import ipaddress
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.errors import ConfigInvalid
from common.hosts import is_loopback
from common.json_values import MAX_DEPTH, fits_json
from common.settings import ModelSettings, Settings
from common.settings_keys import KEYS, LISTS, SECTIONS
from common.settings_source import config_path, load
from deploy.first_start import EXAMPLE, commented_out

EVERYWHERE = str(ipaddress.IPv4Address(0))


def refusal(home: Path, toml: str = "", environ: dict[str, str] | None = None) -> str:
    (home / "config.toml").write_text(toml)
    with pytest.raises(ConfigInvalid) as caught:
        load(home, None, environ or {})
    return caught.value.message


def accepted(home: Path, toml: str = "", environ: dict[str, str] | None = None) -> Settings:
    (home / "config.toml").write_text(toml)
    return load(home, None, environ or {})


def test_defaults_hold_without_any_source(tmp_path: Path) -> None:
    assert load(tmp_path, None, {}) == Settings()


def test_the_defaults_are_allowed_values() -> None:
    assert msgspec.convert(msgspec.to_builtins(Settings()), Settings) == Settings()


def test_the_example_holds_every_key_with_its_default(tmp_path: Path) -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    held = {(section, name) for section, table in example.items() for name in table}
    assert held == set(KEYS)
    assert load(tmp_path, EXAMPLE, {}) == Settings()


def test_the_example_explains_every_section() -> None:
    lines = EXAMPLE.read_text().splitlines()
    first_keys = [lines[at + 1] for at, line in enumerate(lines) if line.startswith("[")]
    assert len(first_keys) == len(SECTIONS)
    assert all(line.startswith("# ") for line in first_keys)


def test_the_commented_out_example_sets_nothing_but_can_be_uncommented(tmp_path: Path) -> None:
    text = commented_out(EXAMPLE.read_text())
    assert all(table == {} for table in tomllib.loads(text).values())
    assert accepted(tmp_path, text.replace("#port = 8080", "port = 8081")).llama.port == 8081


def test_the_file_wins_over_defaults_and_the_environment_over_the_file(tmp_path: Path) -> None:
    toml = "[server]\nport = 3001\n[llama]\nmaxModels = 2\n"
    settings = accepted(tmp_path, toml, {"LLAMA_PROXY_SERVER__PORT": "3002"})
    assert (settings.server.port, settings.llama.max_models) == (3002, 2)
    assert settings.llama.port == Settings().llama.port


def test_every_key_is_read_from_the_file(tmp_path: Path) -> None:
    settings = accepted(
        tmp_path,
        """
        [server]
        allowedOrigins = ["https://admin.example:8443"]
        allowedHosts = ["models.example"]
        host = "::1"
        port = 4000
        [llama]
        serverPath = "/opt/llama-server"
        allowedServerDirs = []
        modelsDir = "/models"
        host = "localhost"
        port = 4001
        maxModels = 1
        queueTimeout = 0.5
        maxQueue = 3
        maxConcurrent = 2
        ttlSeconds = 600
        loadTimeoutSeconds = 20
        drainTimeoutSeconds = 0
        allowedOrigins = ["https://chat.example"]
        allowedHosts = ["models.example"]
        preload = ["a", "deep/b"]
        flags = { threads = "4", jinja = "" }
        maxBodyBytes = 1024
        [proxy]
        processes = 2
        [presets]
        path = "/etc/llama-proxy/presets"
        [logging]
        level = "debug"
        path = "/var/log/llama-proxy"
        [runner]
        engineHost = "10.0.0.7"
        stopGraceSeconds = 1
        [metrics]
        intervalSeconds = 0.1
        [host]
        name = "gpu-box.example"
        [backplane]
        listen = "tcp://10.0.0.7:7300"
        keysDir = "/etc/llama-proxy"
        """,
    )
    changed = msgspec.to_builtins(settings)
    defaults = msgspec.to_builtins(Settings())
    unchanged = [
        (section, name)
        for section, name in KEYS
        if changed[section][name] == defaults[section][name]
    ]
    assert unchanged == [("backplane", "join")]  # which contradicts `listen`
    assert settings.llama.flags == {"threads": "4", "jinja": ""}
    assert settings.llama.preload == ("a", "deep/b")


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.path)
def test_every_key_is_read_from_its_variable(tmp_path: Path, key: Any) -> None:
    given: dict[type, tuple[str, Any]] = {
        int: ("2048", 2048),
        float: ("2.5", 2.5),
        dict: ('{"threads": "2"}', {"threads": "2"}),
        tuple: ('["a", "b"]', ("a", "b")),
    }
    text, value = given.get(type(key.default), ("localhost", "localhost"))
    if key.name == "level":
        text = value = "warn"
    if key.name in ("maxModels", "processes"):
        text, value = "7", 7
    if key.name == "allowedOrigins":
        text, value = '["http://a"]', ("http://a",)
    if key.name in ("listen", "join"):
        text = value = "tcp://127.0.0.1:7300"
    settings = load(tmp_path, None, {key.variable: text})
    assert msgspec.to_builtins(settings)[key.section][key.name] == value


def test_a_path_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    assert load(tmp_path, None, {"LLAMA_PROXY_LLAMA__MODELS_DIR": "123"}).llama.models_dir == "123"


def test_other_variables_do_not_matter(tmp_path: Path) -> None:
    environ = {
        "HOME": "/root",
        "LLAMA_ARG_PORT": "1",
        "LLAMA_PROXY_HOME": "/somewhere",
        "LLAMA_PROXY_ENGINE": "/somewhere:1",
        "LLAMA_PROXY_STACK": "/somewhere",
    }
    assert load(tmp_path, None, environ) == Settings()


def test_the_file_is_the_given_one_then_the_variables_then_homes(tmp_path: Path) -> None:
    environ = {"LLAMA_PROXY_CONFIG": "/named/by/variable.toml"}
    given = Path("given.toml")
    assert config_path(tmp_path, given, environ) == given
    assert config_path(tmp_path, None, environ) == Path("/named/by/variable.toml")
    assert config_path(tmp_path, None, {"LLAMA_PROXY_CONFIG": ""}) is None
    (tmp_path / "config.toml").touch()
    assert config_path(tmp_path, None, {}) == tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("toml", "path", "given", "allowed"),
    [
        ("[server]\nport = 0", "server.port", "0", "a whole number from 1 to 65535"),
        ("[server]\nport = 65536", "server.port", "65536", "from 1 to 65535"),
        ("[server]\nport = '3000'", "server.port", '"3000"', "a whole number"),
        ("[server]\nport = 3000.0", "server.port", "3000.0", "a whole number"),
        ("[server]\nport = true", "server.port", "true", "a whole number"),
        ("[server]\nport = [3000]", "server.port", "[3000]", "a whole number"),
        ("[server]\nport = 2024-01-15", "server.port", '"2024-01-15"', "a whole number"),
        ("[server]\nhost = ''", "server.host", '""', "not empty"),
        ("[server]\nhost = 1", "server.host", "1", "a string"),
        ("[llama]\nmaxModels = 0", "llama.maxModels", "0", "a whole number from 1 to 1000"),
        ("[llama]\nmaxModels = -1", "llama.maxModels", "-1", "from 1"),
        ("[proxy]\nprocesses = 0", "proxy.processes", "0", "a whole number from 1 to 64"),
        ("[proxy]\nprocesses = 65", "proxy.processes", "65", "from 1 to 64"),
        ("[llama]\nqueueTimeout = -0.1", "llama.queueTimeout", "-0.1", "a number from 0"),
        ("[llama]\nqueueTimeout = nan", "llama.queueTimeout", "NaN", "a number from 0"),
        ("[llama]\nqueueTimeout = inf", "llama.queueTimeout", "Infinity", "to 86400"),
        ("[llama]\nloadTimeoutSeconds = 0", "llama.loadTimeoutSeconds", "0", "from 0.1"),
        ("[llama]\npreload = 'a'", "llama.preload", '"a"', "a list whose items are each a string"),
        ("[llama]\npreload = ['a', 3]", "llama.preload[1]", "3", "a string"),
        ("[llama]\nflags = []", "llama.flags", "[]", "a table whose values are each a string"),
        ("[llama]\nflags = {threads = 4}", "llama.flags.threads", "4", "a string"),
        ("[llama]\nmaxBodyBytes = 1", "llama.maxBodyBytes", "1", "from 1024"),
        ("[llama]\nmodelsDir = ''", "llama.modelsDir", '""', "not empty"),
        ('[presets]\npath = "a\\u0000"', "presets.path", '"a\\u0000"', "without control"),
        ('[logging]\npath = "a\\nb"', "logging.path", '"a\\nb"', "without control characters"),
        ("[presets]\npath = '~nobody-here/p'", "presets.path", '"~nobody-here/p"', "a user that"),
        ("[llama]\nmodelsDir = '~nobody-here'", "llama.modelsDir", '"~nobody-', "a user that"),
        ("[llama]\nserverPath = '~nobody-here/x'", "llama.serverPath", '"~nobody-', "a user that"),
        (
            *("[llama]\nallowedServerDirs = ['/opt', '~nobody-here']",),
            *("llama.allowedServerDirs[1]", '"~nobody-here"', "a user that"),
        ),
        ("[server]\nhost = 'a b'", "server.host", '"a b"', "matching ^["),
        ('[runner]\nengineHost = "a\\u0000"', "runner.engineHost", '"a\\u0000"', "matching ^["),
        ("[llama]\nflags = {'' = 'x'}", "llama.flags.", '"x"', "letters, digits, dots, dashes"),
        ("[llama]\nflags = {'a=b' = 'x'}", "llama.flags.a=b", '"x"', "letters, digits, dots"),
        ('[llama]\nflags = {c = "1\\n2"}', "llama.flags.c", '"1\\n2"', "a value on one line"),
        ("[logging]\nlevel = 'verbose'", "logging.level", '"verbose"', '"debug", "error", "info"'),
        ("[metrics]\nintervalSeconds = 0", "metrics.intervalSeconds", "0", "from 0.1 to 3600"),
        ("[host]\nname = 'a b'", "host.name", '"a b"', "matching ^[A-Za-z0-9._-]*$"),
        (f"[host]\nname = '{'a' * 64}'", "host.name", '"aaaa', "at most 63 characters"),
        ("server = 3000", "server", "3000", "a table, written [server]"),
        ("[[server]]\nport = 3000", "server", '[{"port": 3000}]', "a table, written [server]"),
    ],
)
def test_a_wrong_value_is_named_with_its_path_and_what_is_allowed(
    tmp_path: Path, toml: str, path: str, given: str, allowed: str
) -> None:
    message = refusal(tmp_path, toml)
    assert message.startswith(f"{tmp_path / 'config.toml'}: {path}: given {given}")
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("toml", "path", "meant"),
    [
        ("[sever]", "sever", "server"),
        ("maxModels = 4", "maxModels", "llama.maxModels"),
        ("[llama]\nmaxmodels = 4", "llama.maxmodels", "llama.maxModels"),
        ("[llama]\nmax_models = 4", "llama.max_models", "llama.maxModels"),
        ("[llama]\nmax-models = 4", "llama.max-models", "llama.maxModels"),
        ("[llama]\nmaxModel = 4", "llama.maxModel", "llama.maxModels"),
        ("[server]\nmaxModels = 4", "server.maxModels", "llama.maxModels"),
        ("[server]\nprot = 4", "server.prot", "server.port"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(
    tmp_path: Path, toml: str, path: str, meant: str
) -> None:
    message = refusal(tmp_path, toml)
    assert message.startswith(f"{tmp_path / 'config.toml'}: {path}: there is no such ")
    assert f"did you mean {meant}?" in message


def test_an_unknown_key_that_nothing_resembles_is_answered_with_all_known_ones(
    tmp_path: Path,
) -> None:
    message = refusal(tmp_path, "[logging]\nzebra = 1")
    assert "did you mean" not in message
    assert "(known: level, path)" in message


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("LLAMA_PROXY_SERVER__PORT", "", 'given ""; allowed is a whole number from 1 to 65535'),
        ("LLAMA_PROXY_SERVER__PORT", "http", 'given "http"; allowed is a whole number'),
        ("LLAMA_PROXY_SERVER__PORT", "70000", 'given "70000"; allowed is a whole number'),
        ("LLAMA_PROXY_LOGGING__LEVEL", "INFO", 'given "INFO"; allowed is one of'),
        ("LLAMA_PROXY_LLAMA__PRELOAD", "a,b", 'given "a,b"; allowed is a list'),
        ("LLAMA_PROXY_LLAMA__PRELOAD", '{"a": 1}', 'given {"a": 1}; allowed is a list'),
        ("LLAMA_PROXY_LLAMA__FLAGS", "threads=4", "written as JSON"),
        ("LLAMA_PROXY_SERVER__PROT", "1", "did you mean LLAMA_PROXY_SERVER__PORT?"),
        ("LLAMA_PROXY_SERVER_PORT", "1", "did you mean LLAMA_PROXY_SERVER__PORT?"),
        ("LLAMA_PROXY_LLAMA__MAXMODELS", "1", "did you mean LLAMA_PROXY_LLAMA__MAX_MODELS?"),
        ("LLAMA_PROXY_ZEBRA", "1", "there is no such variable"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, expected: str) -> None:
    message = refusal(tmp_path, environ={variable: text})
    assert message.startswith(f"{variable}: ")
    assert expected in message


def test_an_item_of_a_variables_table_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, environ={"LLAMA_PROXY_LLAMA__FLAGS": '{"threads": 4}'})
    assert message == "LLAMA_PROXY_LLAMA__FLAGS.threads: given 4; allowed is a string"


def test_all_mistakes_are_reported_together_and_as_data(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nport = 0\nx = 1\n[y]\n")
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, None, {"LLAMA_PROXY_Z": "1"})
    assert len(caught.value.message.splitlines()) == 4
    assert caught.value.details is not None
    paths = [problem["path"] for problem in caught.value.details["problems"]]
    assert paths == ["server.port", "server.x", "y", "LLAMA_PROXY_Z"]
    json.dumps(caught.value.details)


def test_a_long_wrong_value_is_shortened(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, f"[server]\nport = '{'9' * 10_000}'")) < 500


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[server]\nport = \n")
    assert message.startswith(f"{tmp_path / 'config.toml'}: this is not TOML: ")
    assert "line 2" in message


def test_a_key_twice_is_a_syntax_error(tmp_path: Path) -> None:
    assert "line 3" in refusal(tmp_path, "[server]\nport = 1\nport = 2\n")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    for path, reason in ((missing, "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigInvalid, match=f"{path}: cannot be read: {reason}"):
            load(tmp_path, path, {})


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[server]\nhost = '\xff\xfe'\n")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        load(tmp_path, None, {})


@pytest.mark.parametrize("section", ["server", "llama"])
@pytest.mark.parametrize(
    "origin", ["*", "null", "models.example", "https://models.example/", "ftp://models.example"]
)
def test_an_origin_is_written_as_browsers_send_it(
    tmp_path: Path, section: str, origin: str
) -> None:
    good = accepted(
        tmp_path, f"[{section}]\nallowedOrigins = ['https://a.example', 'http://[::1]:1']"
    )
    assert getattr(good, section).allowed_origins == ("https://a.example", "http://[::1]:1")
    message = refusal(tmp_path, f"[{section}]\nallowedOrigins = ['{origin}']")
    assert f'{section}.allowedOrigins[0]: given "{origin}"' in message


def test_an_allowed_host_has_no_port(tmp_path: Path) -> None:
    good = accepted(tmp_path, "[server]\nallowedHosts = ['models.example', '[fd00::1]']")
    assert good.server.allowed_hosts == ("models.example", "[fd00::1]")
    assert "allowedHosts[0]" in refusal(tmp_path, "[server]\nallowedHosts = ['models.example:80']")


def test_what_the_environment_contradicts_is_named_after_its_variable(tmp_path: Path) -> None:
    message = refusal(tmp_path, environ={"LLAMA_PROXY_LLAMA__PORT": "3000"})
    assert message.startswith("LLAMA_PROXY_LLAMA__PORT: given 3000")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.example.com", False),
        ("", False),
        (EVERYWHERE, False),
        ("1", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_one_port_twice_on_an_address_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[llama]\nport = 3000\nhost = 'localhost'")
    assert "llama.port: given 3000; allowed is another port than server.port" in message


def test_one_port_on_two_addresses_is_fine(tmp_path: Path) -> None:
    assert accepted(tmp_path, "[llama]\nport = 3000\nhost = '::1'").llama.port == 3000


@pytest.mark.parametrize(
    "flag",
    [
        *("model", "m", "host", "port", "api-key", "alias", "log-file", "tools", "rpc", "agent"),
        *("LLAMA_ARG_STATIC_PATH", "media-path", "new-file"),
    ],
)
def test_reserved_flags_are_refused_with_the_reason(tmp_path: Path, flag: str) -> None:
    message = refusal(tmp_path, f"[llama]\nflags = {{ {flag} = 'x' }}")
    assert f'llama.flags.{flag}: given "x"' in message
    assert "this one is reserved, since " in message


def test_a_flag_with_dashes_is_refused_with_its_right_name(tmp_path: Path) -> None:
    assert "without leading dashes: threads" in refusal(
        tmp_path, "[llama.flags]\n'--threads' = '4'"
    )


def test_the_host_name_is_the_machines_unless_it_is_given(tmp_path: Path) -> None:
    assert Settings().host.resolved_name()
    assert accepted(tmp_path, "[host]\nname = 'a'").host.resolved_name() == "a"


def test_every_key_has_a_description_and_words_for_what_it_takes() -> None:
    for key in (*KEYS.values(), *LISTS.values()):
        assert key.description.endswith((".", ";")), key.path
        assert key.allowed, key.path


def test_the_settings_describe_themselves_as_json_schema() -> None:
    schema = msgspec.json.schema(Settings)
    port = schema["$defs"]["Server"]["properties"]["port"]
    assert port["minimum"] == 1
    assert port["description"]


def test_no_default_is_infinite() -> None:
    numbers = [key.default for key in KEYS.values() if isinstance(key.default, float)]
    assert numbers
    assert all(map(math.isfinite, numbers))


def test_models_have_tables_of_their_own(tmp_path: Path) -> None:
    toml = """
        [models."team/qwen"]
        aliases = ["gpt-4o", "my model"]
        ttlSeconds = 600
        maxConcurrent = 8
        stripParams = ["temperature"]
        setParams = { top_p = 0.5, nested = { deep = [1, "a", true] } }
        [models.other]
        """
    settings = accepted(tmp_path, toml)
    assert settings.models == {
        "team/qwen": ModelSettings(
            aliases=("gpt-4o", "my model"),
            ttl_seconds=600,
            max_concurrent=8,
            strip_params=("temperature",),
            set_params={"top_p": 0.5, "nested": {"deep": [1, "a", True]}},
        ),
        "other": ModelSettings(),
    }
    assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings
    given = json.dumps({"a": {"aliases": ["x"], "ttlSeconds": 5}})
    told = accepted(tmp_path, toml, {"LLAMA_PROXY_MODELS": given}).models
    assert told == {"a": ModelSettings(aliases=("x",), ttl_seconds=5)}


@pytest.mark.parametrize(
    ("toml", "path", "text"),
    [
        ("[models.a]\naliass = []", "models.a.aliass", "no such key (known: aliases, "),
        ("[models.a]\nttlSeconds = -1", "models.a.ttlSeconds", "a number from 0 to 86400"),
        ("[models.a]\naliases = ['']", "models.a.aliases[0]", "a string"),
        ("[models.a]\naliases = ['x ']", "models.a.aliases[0]", "a string"),
        ("[models.a]\naliases = ['x', 'x']", "models.a.aliases[1]", "stands for one model"),
        (
            "[models.a]\naliases = ['x']\n[models.b]\naliases = ['y', 'x']",
            "models.b.aliases[1]",
            "stands for one model",
        ),
        ("[models.a]\nsetParams = { d = 2024-01-01 }", "models.a.setParams.d", "what JSON has"),
        ("[models.a]\nsetParams = { d = [inf] }", "models.a.setParams.d", "what JSON has"),
        ("[models]\na = 3", "models.a", "a table of aliases"),
        ("models = 3", "models", "a table whose values"),
    ],
)
def test_what_is_wrong_about_a_model_is_named(
    tmp_path: Path, toml: str, path: str, text: str
) -> None:
    message = refusal(tmp_path, toml)
    assert f": {path}: " in message
    assert text in message


def test_the_example_of_a_model_can_be_uncommented(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    example = text[text.index("# [models.") :].replace("# ", "")
    assert list(accepted(tmp_path, example).models) == ["team/qwen-7b"]


def test_json_says_no_more_than_fits_into_it() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert not fits_json(deep)
    assert fits_json(deep[0])
    right: list[object] = [None, True, "é", 1 << 63, -1.5, [], {"a": {"b": [None]}}]
    wrong: list[object] = [float("nan"), 1 << 64, {1: 2}, b"", ("a",), object()]
    assert [fits_json(value) for value in right] == [True] * len(right)
    assert [fits_json(value) for value in wrong] == [False] * len(wrong)
