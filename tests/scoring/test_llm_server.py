"""The server that other tests stand on says what it says it says."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.scoring.llm_server import Behaviour, expected, serve, spawn

MESSAGE = '<text ab12>\nwhat a day\n</text ab12>\nScore each category from 1 to 5:\n- joy\n- it\'s "so"\n'


def ask(address: str, content: str = MESSAGE, key: str = "k") -> dict:
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_scores_are_a_function_of_text_and_category():
    with serve() as llm:
        content = json.loads(ask(llm.address)["choices"][0]["message"]["content"])
    assert content["scores"] == expected("what a day", ["joy", 'it\'s "so"'])
    assert llm.asked == {"what a day": 1}
    assert llm.requests.answered == 1


def test_switches_change_while_it_runs():
    with serve(Behaviour(key="right")) as llm:
        with pytest.raises(urllib.error.HTTPError, match="401") as wrong:
            ask(llm.address)
        wrong.value.close()
        llm.behaviour.key, llm.behaviour.storm = "", True
        with pytest.raises(urllib.error.HTTPError, match="429") as stormy:
            ask(llm.address)
        assert stormy.value.headers["Retry-After"] == "1"
        stormy.value.close()
    assert (llm.requests.total, llm.requests.denied, llm.requests.throttled) == (2, 1, 1)


def test_a_bucket_refuses_beyond_its_burst():
    with serve(Behaviour(rate=0.001, burst=2, retry_after="ms")) as llm:
        for _ in range(2):
            ask(llm.address)
        with pytest.raises(urllib.error.HTTPError, match="429") as refused:
            ask(llm.address)
        assert int(refused.value.headers["retry-after-ms"]) > 900_000
        refused.value.close()


def test_a_process_of_its_own():
    with spawn(Behaviour(unavailable=1.0)) as llm:
        with pytest.raises(urllib.error.HTTPError, match="503") as failed:
            ask(llm.address)
        failed.value.close()
        llm.change(unavailable=0.0)
        ask(llm.address)
        seen, asked = llm.state()
        assert (seen.total, seen.unavailable, asked["what a day"]) == (2, 1, 1)
        llm.restart()
        assert llm.state()[0].total == 0
