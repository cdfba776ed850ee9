"""What tests/nested/rdp.sh needs of X servers and terminals.

paint FILE RRGGBB    fills the screen of the X server whose number is in FILE (X11 protocol, core requests)
shows FILE RRGGBB    waits until that colour, or nearly it, is on most of what is not black in Xvfb's framebuffer (XWD)
answer WORD CMD...   runs a command on a terminal of its own, trusts the certificate, and gives WORD as the password
"""
import collections, os, pty, select, signal, socket, struct, sys, time


def paint(file, colour):
    with open(file) as f:
        display = f.read().strip()
    s = socket.socket(socket.AF_UNIX)
    s.connect("/tmp/.X11-unix/X" + display)
    s.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
    head = s.recv(8, socket.MSG_WAITALL)
    if head[0] != 1:
        sys.exit("the X server refuses")
    rest = s.recv(struct.unpack("<H", head[6:])[0] * 4, socket.MSG_WAITALL)
    vendor, formats = struct.unpack("<H", rest[16:18])[0], rest[21]
    root = struct.unpack("<I", rest[32 + (vendor + 3) // 4 * 4 + formats * 8:][:4])[0]
    s.sendall(struct.pack("<BxHIII", 2, 4, root, 2, int(colour, 16)))  # ChangeWindowAttributes: background-pixel
    s.sendall(struct.pack("<BBHIhhHH", 61, 0, 4, root, 0, 0, 0, 0))  # ClearArea
    s.sendall(struct.pack("<BxHI", 14, 2, root))  # GetGeometry, whose answer comes when the others are done
    s.recv(32)


def near(one, other):
    return all(abs(a - b) < 24 for a, b in zip(one, other))


def share(file, colour):
    with open(file, "rb") as f:
        data = f.read()
    head = struct.unpack(">25I", data[:100])
    start = head[0] + head[19] * 12
    pixels = collections.Counter(data[i:i + 3][::-1] for i in range(start, start + head[12] * head[5], 4))
    return sum(n for pixel, n in pixels.items() if near(pixel, colour)) / sum(pixels.values())


def shows(file, colour):
    end, part = time.monotonic() + (1 if os.environ.get("ONCE") else 60), 0
    while time.monotonic() < end:
        part = share(file, bytes.fromhex(colour))
        if part > 0.9:
            return
        select.select([], [], [], 0.2)
    sys.exit(f"{colour} is on {part:.0%} of the screen")


def answer(word, command):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    said = ""
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        sys.stdout.write(data.decode(errors="replace"))
        sys.stdout.flush()
        said += data.decode(errors="replace")
        for question, reply in (("(Y/T/N)", "Y"), ("Password:", word)):
            if question in said:
                os.write(fd, (reply + "\n").encode())
                said = ""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(1 if status else 0)


if sys.argv[1] == "answer":
    answer(sys.argv[2], sys.argv[3:])
{"paint": paint, "shows": shows}[sys.argv[1]](*sys.argv[2:])
