"""The table."""
from common import MIB, ROOT, machine, sh


def text_of(value, key):
    if value is None or value == "":
        return ""
    if key in ("index", "leaves", "answer"):
        return f"{key} {value / MIB:.1f} MiB"
    if key in ("ready", "first"):
        return f"{'the web door answers after' if key == 'ready' else 'first byte after'} {value:.2f} s"
    if isinstance(value, float):
        return f"{key} {value:.0f}"
    return f"{value}" if key == "says" else f"{key} {value:,}"


def stall(figures):
    doors = figures.get("stalls") or {}
    return " / ".join(f"{doors[d]['held_ms']:.0f}" if doors[d]["answers"] else "-" for d in ("main", "web") if d in doors)


def rows(results):
    yield "| | wall s | CPU-s | anon MiB, most | read MiB | written MiB | longest /healthz ms, main / web | |"
    yield "| --- | --: | --: | --: | --: | --: | --: | --- |"
    for work, steps in results.items():
        yield f"| **{work}** | | | | | | | |"
        for step, f in steps.items():
            more = "; ".join(t for k, v in f["more"].items() if (t := text_of(v, k)))
            anon = f"{f['anon_peak'] / MIB:.0f}" if f["anon_peak"] else ""
            yield (f"| {step} | {f['wall']:.2f} | {f['cpu']:.2f} | {anon} | {f['read'] / MIB:.1f} | "
                   f"{f['written'] / MIB:.1f} | {stall(f)} | {more} |")


HEAD = """# At the size its users have

Made by `./dev bench scale`; [bench/scale](../bench/scale/README.md) says how. {machine}. {tarn}.

*Read* is what system calls returned: content of files, saved state, requests; the index is mapped and not in it.
*Written* is as the kernel counts pages made dirty, more than what was written where pages lie together. The
longest answer of /healthz is without the time that its thread stood in the queue for a processor.
"""


def write_report(results, build, notes):
    text = HEAD.format(machine=machine(), tarn=sh([build / "tarn", "version"]).splitlines()[0])
    text += "\n" + "\n".join(rows(results)) + "\n"
    if notes:
        text += "\n" + notes
    (ROOT / "docs/bench-scale.md").write_text(text)
