"""What `nestvisor fix` proposes, done on the hosts, tried, and taken back."""
import json

import kernel
import rounds

STATE = "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save; nft -s list ruleset; ip -br link; ip route show table all; " \
        "ip -6 route show table all; ip rule; ip -6 rule; cd /proc/sys/net; grep -H . ipv[46]/conf/*/forwarding ipv4/conf/*/rp_filter ipv4/conf/*/*_local* bridge/bridge-nf*"


class Mending:
    """One question whose packet the kernel did not deliver, or not its answer, and the changes that are to help."""

    def __init__(self, round_, question, number):
        self.round, self.stack, self.question = round_, round_.stack, question
        self.token = rounds.token_of(3 * number + 1)

    def shell(self, host, command):
        done = self.stack.shell(host, command)
        if done.returncode:
            raise kernel.Failed("on %s: %s: %s" % (host, command, done.stderr.strip() or done.stdout.strip()))

    def state(self):
        return {name: [line for line in self.stack.shell(name, STATE).stdout.splitlines() if not line.startswith(("#", ":"))] for name in self.stack.rules}

    def send(self, expected, reply_expected, idle):
        """What is wrong: a text, or None where the packet and its answer come to where they are expected."""
        answer = self.stack.ask(self.question, self.token, idle)
        wrong = rounds.difference(answer, expected)
        if wrong:
            return "the packet (%s): %s" % (wrong, json.dumps(rounds.public(answer)))
        if not reply_expected:
            return None
        if "_stub" in answer or self.question["proto"] == "udp":
            back = self.stack.ask(self.stack.reply(self.question, answer), self.token + 16, idle, ack=self.token + 1, fresh=False)
        else:  # the host's own kernel has answered it already
            back = self.stack.answer_heard(self.question, answer, self.token)
        wrong = rounds.difference(back, reply_expected)
        return "its answer (%s): %s" % (wrong, json.dumps(rounds.public(back))) if wrong else None

    def arrives(self, told):
        return self.send(told["after"], told["reply"], 0.012) is None or self.send(told["after"], told["reply"], 0.15) is None

    def try_it(self, told):
        """Complaints about the changes."""
        before, done, found = self.state(), [], []
        try:
            for change in told["changes"]:
                self.shell(change["host"], change["command"])
                done.append(change)
            wrong = self.send(told["after"], told["reply"], 0.012) and self.send(told["after"], told["reply"], 0.15)
            if wrong:
                found.append("it is not mended: " + wrong)
            elif len(told["changes"]) > 1:
                found += self.needless(told)
        except kernel.Failed as error:
            found.append(str(error))
        for change in reversed(done):
            try:
                self.shell(change["host"], change["undo"])
            except (kernel.Failed, TypeError) as error:
                found.append("not taken back: %s" % error)
        after = self.state()
        for name in before:
            if before[name] != after[name]:
                found.append("%s is not as it was: %s" % (name, sorted(set(before[name]) ^ set(after[name]))[:6] or "another order"))
        return found

    def needless(self, told):
        for change in told["changes"]:
            try:
                self.shell(change["host"], change["undo"])
            except (kernel.Failed, TypeError):
                continue  # said when all is taken back
            if self.arrives(told):
                yield "not needed: " + change["command"]
            self.shell(change["host"], change["command"])
