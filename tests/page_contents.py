"""The data of a classroom page, unpacked."""

import base64
import json
import zlib


def page_data(text: str, name: str = "saddle") -> dict:
    """Facts, scene and store of a surface of the page; `runs` has for each start a run of each method."""
    facts = json.loads(text.split('id="data">')[1].split("</script>")[0], parse_constant=_refused)
    scene = json.loads(zlib.decompress(base64.b64decode(facts["packed"][name])), parse_constant=_refused)
    store = scene.pop("store")
    runs = iter(_runs(store))
    for variant in store["variants"]:
        variant["runs"] = [next(runs) for _ in variant["starts"]]
    del store["says"]  # another of that name is among the facts
    plain = [variant["runs"] for variant in store["variants"] if not variant["changed"]]
    return {**facts, **scene, **store, "runs": list(zip(*plain, strict=True))}


def _refused(word):
    raise AssertionError(word)


def _runs(store):
    end = 0
    for i, rows in enumerate(store["rows"]):
        start, end = end, end + rows
        numbers = [x for k in range(start, end) for x in (column[k] for column in store["numbers"])]
        yield {**store["texts"][store["says"][i]], "numbers": numbers, "bends": store["bends"].get(str(i), {})}
