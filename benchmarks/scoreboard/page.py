"""The page of the scoreboard, made from its results and the reports."""

def page(rows): return ""
def unexplained(rows):
    return [f"{r['library']} {r['route']} {t}: " + "; ".join(c["diagnosis"]) +" || "+ "; ".join(f"{l['law']} {l['digits']} {l['worst']}" for l in c["laws"] if l["verdict"]=="wrong") for r in rows for t,c in r["cells"].items() if c["verdict"]=="wrong"]
