"""Scenarios in rounds: each is built, asked about, and taken down; many of them side by side."""
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import conversation
import kernel
import stack


def public(value):
    return {key: item for key, item in value.items() if not key.startswith("_") and key not in ("from", "then", "seq", "icmp_id")}


def token_of(number):
    return 0x4E560000 + 16 * number  # apart: a TCP answer acknowledges the token plus one


class Round:
    """One scenario, built: questions asked of the kernel and of nestvisor."""

    def __init__(self, nestvisor, scenario):
        self.nestvisor = nestvisor
        self.folder = tempfile.mkdtemp(prefix="nestvisor-agree-")
        self.stack, self.tokens = None, 0
        try:
            self.stack = stack.Stack(scenario)
            self.capture()
            self.stack.watch()
        except BaseException:
            self.close()
            raise

    def capture(self):
        cables = self.stack.capture(self.folder)
        with open(self.folder + "/links.json", "w") as file:
            json.dump(cables, file)

    def close(self):
        if self.stack:
            self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def next_token(self):
        """Never the same twice: pieces of earlier packets may still wait for the others."""
        self.tokens += 1
        return token_of(self.tokens)

    def ask(self, questions, idle=0.012):
        """Questions and the kernel's answers; behind each what its `then` asks for. `_origin` is the question's own place."""
        asked, answers = [], []
        for origin, question in enumerate(questions):
            for one, answer in conversation.hold(self.stack, question, self.next_token, idle):
                asked.append(dict(one, id=len(asked) + 1, _origin=origin))
                answers.append(answer)
        return asked, answers

    def program(self, questions, command="path"):
        text = "".join(json.dumps(public(q)) + "\n" for q in questions)
        both = ["--engine", "both"] if command == "path" else []
        done = subprocess.run([self.nestvisor, command, "--batch", *both, "--facts", self.folder], input=text, capture_output=True, text=True, timeout=120)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        if len(lines) != len(questions):
            raise kernel.Failed("nestvisor answered %d of %d questions: %s" % (len(lines), len(questions), done.stderr.strip()[:400]))
        return lines

    def disagreements(self, questions, idle=0.012):
        """What they disagree about, and all questions, answers of the kernel, and of the program."""
        asked, answers = self.ask(questions, idle)
        told = self.program(asked)
        whys = [difference(a, t) for a, t in zip(answers, told)]
        by_chance(asked, answers, told, whys)
        misread(asked, answers, told, whys)  # these first: a piece may have waited for one of those
        waiting(asked, answers, whys)
        return [row for row in zip(asked, answers, told, whys) if row[3]], asked, answers, told


def waiting(asked, answers, whys):
    """A piece whose other piece was stopped waits for it where pieces are put together: then nobody can see that it passed."""
    for i in range(len(asked) - 1):
        if asked[i].get("fragment") != "first":
            continue
        for one, other in ((i, i + 1), (i + 1, i)):
            if whys[one] and not whys[other] and answers[one]["verdict"] == "lost" and answers[other]["verdict"] != "delivered":
                whys[one], answers[one]["_waits"] = None, True


def misread(asked, answers, told, whys):
    """A rule takes whatever bytes of a later piece stand there for ports: then nobody can say what becomes of it."""
    for i, question in enumerate(asked):
        texts = [missing["text"] for missing in told[i].get("missing") or []]
        if question.get("fragment") == "later" and told[i]["verdict"] == "unknown" and texts and all("a later fragment holds" in text or "which element" in text for text in texts):
            whys[i], answers[i]["_misread"] = None, True


def by_chance(asked, answers, told, whys):
    """A host chose the source port by chance, and a rule asks for it: then another packet like it may fare otherwise."""
    for i, question in enumerate(asked):
        texts = [missing["text"] for missing in told[i].get("missing") or []]
        if question.get("sport") is not None and told[i]["verdict"] == "unknown" and texts and all("on which of the ports" in text for text in texts):
            whys[i], answers[i]["_chance"] = None, True


def difference(kernel_says, told):
    """None where both agree; what both name is compared. Then the sets must agree with the interpreter."""
    if kernel_says["verdict"] != told.get("verdict"):
        return "verdict"
    fields = {"delivered": ("where", "to", "sport", "dport"), "lost": (), "dropped": ("where", "table", "chain"), "rejected": ("where", "table", "chain")}
    for field in fields[kernel_says["verdict"]]:
        if told.get(field) is not None and kernel_says.get(field) is not None and told[field] != kernel_says[field]:
            return field
    if kernel_says["verdict"] == "delivered":
        for field in ("src", "dst"):
            if told.get(field) and kernel_says.get(field) and not stack.addresses_equal(told[field], kernel_says[field]):
                return field
    if kernel_says.get("index") is not None and told.get("rules") is not None and deciding(told) != kernel_says["index"]:
        return "index of the rule"
    return "engines" if told.get("engines") == "differ" else None


def deciding(told):
    """The number of the rule that the program says decided; 0: a policy."""
    if not told["rules"] or told.get("rule", "").lower() == "policy drop":
        return 0
    return told["rules"][-1]["index"]


def stop(*_):
    """By way of what takes folders away, which is not to be stopped in its turn."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def worker(function, arguments, seeds, results):
    kernel.LIBC.unshare(0x00020000 | kernel.CLONE_NEWNET)  # CLONE_NEWNS: /run/netns of its own
    subprocess.run("mount --make-rprivate / && mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip link set lo up", shell=True, check=True)
    end = time.monotonic() + arguments.seconds
    signal.signal(signal.SIGTERM, stop)
    try:
        for seed in seeds:
            if time.monotonic() > end:
                break
            try:
                results.put((seed, function(arguments, seed)))
            except (kernel.Failed, subprocess.TimeoutExpired) as error:
                results.put((seed, str(error)))
    finally:
        results.put(None)


def run_seeds(arguments, function):
    """Yields (seed, function(arguments, seed)), in any order; a text in its place says why it could not be asked."""
    first, count = (int(word) for word in arguments.seeds.split(":"))
    results, seeds = multiprocessing.Queue(), list(range(first, first + count))
    workers = [multiprocessing.Process(target=worker, args=(function, arguments, seeds[i::arguments.jobs], results)) for i in range(arguments.jobs)]
    for process in workers:
        process.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    running = len(workers)
    try:
        while running:
            row = results.get()
            if row is None:
                running -= 1
            else:
                yield row
        for process in workers:
            process.join()
            if process.exitcode:
                raise kernel.Failed("a worker ended with status %s" % process.exitcode)
    finally:
        for process in workers:
            process.terminate()
            process.join()
