#!/usr/bin/python3
"""A whole executor plugin in Python: two task types, "shout", and "choir", which has others shout.

It needs Debian's python3-grpcio, python3-protobuf and python3-cryptography. To
make it yours, write another script() and Info; the rest is docs/protocol.md.
"""
import base64, collections, concurrent.futures, datetime, gzip, json, os, queue, signal, sys, tempfile, threading, time, types, uuid

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2  # the last two: executor.proto imports them
from google.protobuf.internal import builder

# The messages of sdk/executor.proto, as a descriptor set: `make generate` writes it.
# It stands in this file because the host runs a private copy of it, alone.
DESCRIPTOR = """
# descriptor begins
H4sIAAAAAAACA8VazXMjVxGPpNFXyx/a2SQoSrLZTMhms4Cd3XyQhEDwStpaVbxeZ2yn2BSUaiw9S4PHM8rMyFkfKKo4UVz4D6gCzty5cYAq/gD+AG75D6iCG9393nxI9ozs
5cBFNd3z6/f69evXH28Ef9+GNfFUDGeh529MfS/09OdDKzieeEG4Eb84vdu+Mfa8sSM2GXM4O9oczXwrtD1XSrVfW3wf2iciCK2TqQQY12D9kQitkRVapvhqhu+MX0AzYQVT
zw2E3oLqqfADHLhVuFm4XTcjUn8DVoeee2SPB8FwIk6sVhHfr5grkrnHPP15KIdnUxG0SjdLKCwJ4rreCLkaitRMSRj/KUCzw8IzXyid9DbUomUrBWJafxEqcjI1taL0l6BG
axiMbB/nZaWJ7to+vSJTDma+w5PjK6IPfIeUChwvDFpl5JdMSRBXTL3hpFVBrmZKgqwSzPxT+1S0qryEiNRfBVBWodlrPEVdcmh+VDmYWl+7QavOcooyrsO11NKl7WmLuiIY
+vZhZA7jx6AjLvQ9ZwdtFhlJB41MqAzEzzSTNSSHYOPUTUUZL8D1uRHUXPehmcyl9n4DNNs98njYxr32xkWOuNFHhMk445siaETq70W7XsBdb9y7cbHkPkJYOvEKuQHF9Aa8
E/lKicfK0ILXIoHkMiNxJHxfjJSDxTS982ahgzsl9xnfRbT+MtRPrKcD253OQt7ukllDRp9o2ld66Ytg5oS86SWT4CYz9JvQmLnWqWU71qEj1L6nWfqbsDaUdg8GckHSA1Yj
7g4rj6cKT6mPHuoeu97XbgsYtcLMA8kz/liCWmQ93nzrJNl8fCZ1Rryb05QHpFn667DCC40Ob4lPUIN56uyiKnK5EUaTB1wyFehdqFJkQSOyPRv3XtqQkWcjijwbXRWZzAhJ
k5MxrTAUJ1PccGnsBvK2FEu/AWT7gYMbLa398DmzipxtZPy6UMD34AsMRaEd2btmpjiLGyJtPbchH0LFsU9snB5Y8ZvZXrrNOFPh0zGxMRcT7zegPojUNn5TBkik9ffJLa2R
Y7tCnagcU8VQMvChNTz2jo54G/MNrJD6x9BQj6QOb26uICj0I+upfhcqPmYB2+X9zhVTQP01aGAgmokBG0gFUGAWL17vQAPdfDjDM+gOz3C/6Si/frHBOwnQTEvpt2Ad5xWD
qfAHgcA3I/aMgrlK7F3h7zGTjirjDmc+Ok9NHlXi3CcGhYCpb3u+HZ6xW+Apj+j5EAC5IaCxGAK2oOyjc4vWCq/uO8vcacMkdA8P/5kpJcmOJ7Y7iJxrlZ0LkPWF5LQ/BEik
9CaUjsWZOvj0SCH01HJmQp14SXxc/LBgbEIjZVgSJcco8CLoUV+D4uGZksMn429l0CgkXRhf8ARYoxFaIlASEZk+G6X5eiEuBbSFUuCCrItzzgIM3zIw8LP+Izyv1qFwAtx1
MvCt7Eywsc1AaVslxWnBR2+13bGKFzFNWvszl1/VWbuI1L8PdcfCgiEQwlWBon3uQOxHtZVZI/AeYmk620WmOxQqSsQ0LW/sueQppAY/6w8ByCIDaY1VXuLbOUskR9ojrFxl
PYxo/XNY5ZGU4YPWGg/23SWDKR9T462EKVb7I2ikTHoVx2t/Amvzqi6TLqWlP4Vr53S7kt8LWFPlTlQsxRVdIV3R/RDzDfqvNRbk0jnh6SEyHkmkGYsYfy1BI/UGo3aZM7aK
9C9fPNYeQTCxSaz+Adaz5B+OivSvZARIxqCYQuvfgxKG7zjKXyi0NTxGCcLRNCOM22gBLW+aLmNoGommNfGBUYk+Y01dgtCaGEuT+eIIDzCf5czJTMbQZBKtf4QVNpXGQgb5
xr1XM0woQVQdKDxWjBouM+BDnlkwoj0CFGLk/Qpox7Y7MkxYj51F1cCfpvxCVrNvXDzgrjMb2+55z/iLBqtz78iOE+E4Xr5vPCQI2ZGxqEd9ItBJDoUVKvd4LUtQwVA4kWGD
kpehQUu5BpUgNqh81O9jTzMRw+OpZ7uhcpqMaqkT43CAlJT+CdSOMNYGE5xf+k9GV/BAoVA+ltB7VM0Fs+nU4wVIV8o4oAcJEMdIy5ENhhPLHS9zqo4EkQ0UnvSfyx6Z+ncV
ivSP8wuFA/JOLjiywwFBOBzQQ+yV/6hBmXeFU6h3LGQrvmJKQv8WluA43MAeRa0ekf0RpRmK4ioR8zNnbllj80aWzIgkHWXdU84zza515njWyJRYDJtp16hcRjLtFdikon1H
jmyjsYOXFPF98XOEqEytKMrGPnYdtsrUS8rTBJtuU+DSbcqnccXR4JP/Vs6JubDk+GS+JLyVJ3++GkTp0LewfFhdLr1PQCXNQtiDR/3/Gi54LSvwbg1lJS+x2KRUVH27fpm9
VGAqXFWryA7XlIWrZFH+xo2rHmHjNfNF61rewA8kyIzQ8qYlmIph2NKjmxYm8TDXhhPbwbLTbV2/jLIxfK4FeB5Fy6kWYKEGf2GxBucrHDHEzqf1orrCYep/qZGeuawnyWTr
r1QY4Y4oY1OcGKauj+iZ7K5SWFThK9L4AVSVRckUths3tHh8JUXCw8nMPRYjVdFFpPGrAlRk/ZIRzO5CeWhRuVBkr305qwRCiCmR+iaUx3xOlra5EmdgvYTpP0MBtGEgvuLp
NZMejRugUbVAq2VIEK1WUsYfcE2yfrnskDK+WUHcJClKfwXq2N2eWK5QibZmJgzq6tHR/LOBdRQKf/l9CzB6i8DGFlRVqXRpJbEjtEdKQXwyalCRNaFRhTKnOeNPBShzoTLX
7hTOtzvcQRbnO8iMPhEVmdojlZ3oMd2dlTEUriTdWTtVVVT4VVIz6KoMlBe0/Gw8hXpcHqWHLcwP+z4tBq2Gp2X5pUsMJW18MRT2qaqxNDOmjZ+h/VU5dQUnUcmxNJcco9te
LbntNcYASel16RnugkYX4/kFYRQ+GWr8s4zFCDnSpSeJdr+U2v2oMtFSlckz1R/pzwOVhc8D6ShfXbjoSVJ7LTe100rzU3s9Nzmz/PnU/kzlyFzx07hC8bN43bqSf926esF1
a3IpuHbZS0GMZeLp0JkF9JVknW9VEgZn0YlFV/RNfqWo/0sWnb+2/SXUoh7k0j6OyRRnHnonIv8sPZYgM0LTQeATqPFY8oj9qwRVBaRPMNQD8PxrWb3sZ4gwGZeq34pXqd/Q
Q+gzBCaZQapjaCgeV3BRkaBdXCSU54oEvQtVujWwnUBd9t7JNQhfNtjRGYtE59NhdUk6rF0hHVKZcWYLZ5TfkD0hiCmR6c8h+BodV32ZUZ9DmNf+GFbSS7lSRfZvTKY8I33z
mrmh7cRf3rIvHCWQYl1cDBf5QCXV7ovSJ5Rv1kxFLfRu2lV7t7dg/ViI6SA1hvyitkbsVDZC57IcZxDrV5HfYpDXUSysKRuptj3j2CVFUzFdNBl1qKqG3QCoRf238RNodJOP
2xhyK1yERtc4WZUlYUwFTe4Ki6m7QuObAu5y+iP5M42NydfxxtFtY4bht73xNlbUJkPR4zGDeWO+dy/lfVrdVSgzxtNZHfnedKo+impmRNKbcIJ5aTzhDcQ3ijR+jx7JSmfs
CEanKV1yFvOi0y4iTMZFgbM0V+N4R0eBiG4jFBXHxTJPx89ShxBLMvlVQBLGbwtQVVbK0PIOFOM7s7yjhCgawRGnwmEdy6Yk0nFOm49zVGT644DrUoyK9GyMoBbZP0MjWh3d
/8vmiJ+T1ZVSq8ue+Q76nOzd0Yb6Vme//3hncLCzt9vr9B/0e93mc/o1WFV8s/dFz9xvFu4c4X5yz/QCXOtsHez1FkSasCLZna2dTm+7WaBBJGe//6j3+GC/WdTXoSFZu/Tb
LCVS3d7+VudhU7vzuwJolJVwVc3P+jvdhWl0WGPu3kGn0+t1kVegUZn3YKu/jYwizcwMqQqySvoq1Jm1/Xhvv6nFCBNfb+0hokyqMOtJv7dN41ZiDfo7+z3TPNjdR271jgBt
V96oNXe3zP0F/dYAmNvf2cUVF/TrsM5052Gv89nuYxxKmoGZZm/vYHsftUN1FKq/3TV7O03t3p81WO+ps7CHTYKN3dATqEX/stHfvPjILPwxp31rGUzFoZ9CPf4XiX4r8/Pq
3D9s2m8txanRUfHoLyJZii/8XSVL8XP/NPkSQ7i8eNe/nalO6iNO+80lKDnu7cI7Bf1z0ChY6xnXxakc0TbyIKkhD/ljavQfGv12rjKpP+q0374EUs5z/4Mv3xvb4WR2uIEF
0mYkljwEo+NN7jxdy9mMBpseHlY4sr37X+ioDq1KJgAA
# descriptor ends
"""

NAME, VERSION = os.path.basename(sys.argv[0]), "1.0.0"  # operators know a plugin by its file
MIB = 1 << 20
MAX_PAYLOAD = 256 << 10  # more would come in chunks, which this plugin does not speak
MAX_INPUT = 64 << 10
CONFIG = {"type": "object", "properties": {}, "additionalProperties": False}  # it takes no keys
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}


CHOIR = {"type": "object", "properties": {"lines": {"type": "array", "items": {"type": "string"}, "maxItems": 1000}}, "required": ["lines"], "additionalProperties": False}


class Permanent(Exception):
    """A failure that no retry cures."""


class Later(Exception):
    """A failure to be retried no sooner than after a while: a Duration."""

    def __init__(self, text, after):
        super().__init__(text)
        self.after = after


class Rest(Exception):
    """Rests the task until all its children are final."""


def choir(task, given):
    """What the other type does: each line is shouted by a child, all at once."""
    done = {child["name"]: child for child in task.children}
    for i, line in enumerate(given["lines"]):  # named by its place: an attempt that is made again makes none twice
        if str(i) not in done:
            task.spawn(str(i), "shout", {"text": line})
    sung = [done.get(str(i), {}) for i in range(len(given["lines"]))]
    for child in sung:
        if child.get("state") in ("failed", "canceled"):
            raise Permanent("line %s is not shouted: %s" % (child["name"], child["error"]["message"]))
    if not all(child.get("state") == "succeeded" for child in sung):
        raise Rest()
    return {"text": " ".join(json.loads(base64.b64decode(child["result"]))["text"] for child in sung)}


def script(task, given):
    """What the task type does: it shouts at fifty letters a second."""
    text = given["text"]
    if not text.strip():
        raise Permanent("text is empty: there is nothing to shout")
    task.log("shouting", letters=len(text))
    for done in range(len(text)):
        task.progress(done, len(text), "shouting")
        if task.stop.wait(0.02):  # canceled, out of time, paused, detached
            raise InterruptedError("told to stop after %d letters" % done)
    task.progress(len(text), len(text), "shouted")
    return {"text": text.upper() + "!"}


def messages():
    files = descriptor_pb2.FileDescriptorSet.FromString(gzip.decompress(base64.b64decode(
        "".join(line for line in DESCRIPTOR.splitlines() if not line.startswith("#")))))
    found = types.SimpleNamespace()
    file = descriptor_pool.Default().AddSerializedFile(files.file[0].SerializeToString())
    builder.BuildMessageAndEnumDescriptors(file, vars(found))  # the two that generated code calls
    builder.BuildTopDescriptorsAndMessages(file, "executor_pb2", vars(found))
    return found


pb = messages()


def info():
    return pb.Info(slots=8, max_input=MAX_INPUT, max_result=MAX_PAYLOAD, types=[
        pb.TypeInfo(name="shout", description="says it louder", input_schema=json.dumps(SCHEMA).encode()),
        pb.TypeInfo(name="choir", description="has lines shouted, each by a child", input_schema=json.dumps(CHOIR).encode())])


class Attempt:
    """One attempt, from its Start until its outcome is acked."""

    def __init__(self, plugin, token):
        self.plugin, self.token = plugin, token
        self.stop, self.cause = threading.Event(), pb.CAUSE_UNSPECIFIED
        self.joined = None  # the session that may hear of it
        self.finished = None  # the Finished, once it has ended
        self.unwanted = False
        self.mark = 0  # of its last item on Data
        self.timer = None
        self.children = []  # what became of those that earlier attempts have spawned
        self.seq, self.asked, self.answers = 0, {}, {}  # reports so far, Spawns without an answer, and answers
        self.answered = threading.Condition()

    def cancel(self, cause):
        if not self.stop.is_set():  # the first cause counts
            self.cause = cause
            self.stop.set()

    def log(self, message, level=3, **fields):
        line = pb.LogLine(token=self.token, level=level, message=message, args=[str(x) for kv in fields.items() for x in kv])
        line.at.GetCurrentTime()
        self.mark = self.plugin.data.put("logs", line, self.mark)

    def progress(self, done, total, message=""):
        self.mark = self.plugin.data.put("progress", pb.Progress(token=self.token, done=done, total=total, message=message), self.mark)

    def spawn(self, name, type, given):
        """Makes a child, or finds the one of that name, and gives its task's id."""
        if not self.plugin.spawns:
            raise Permanent("this host takes no children")
        with self.plugin.lock:
            self.seq += 1
            seq = self.seq
            self.asked[seq] = pb.Spawn(token=self.token, seq=seq, name=name, type=type, input=pb.Payload(inline=json.dumps(given).encode()))
            self.plugin.ask(self, self.asked[seq])
        with self.answered:
            while seq not in self.answers:
                if self.stop.is_set():
                    raise InterruptedError("told to stop while child %r was asked for" % name)
                self.answered.wait(0.2)
            child, error = self.answers.pop(seq)
        if error:
            raise error
        return child

    def answer(self, seq, child, error=None):
        self.asked.pop(seq, None)
        with self.answered:
            self.answers[seq] = child, error
            self.answered.notify_all()

    def run(self, start):
        try:
            outcome = self.execute(start)
        except Exception as e:  # a bug in the script, too, ends its attempt and no more
            outcome = self.failed(e)
        if self.timer:
            self.timer.cancel()
        self.plugin.finish(self, outcome)

    def execute(self, start):
        work = {"shout": script, "choir": choir}.get(start.type)
        if not work:
            raise Permanent("no task type %r here" % start.type)
        if start.input.chunked or start.children.chunked:
            raise Permanent("the input, or what became of the children, is larger than %d bytes" % MAX_PAYLOAD)
        self.children = json.loads(start.children.inline or b"[]")
        result = json.dumps(work(self, json.loads(start.input.inline)), ensure_ascii=False).encode()
        if len(result) > MAX_PAYLOAD:
            return pb.Outcome(kind=pb.KIND_FAILED, code="result_too_large", permanent=True, message="%d bytes" % len(result))
        return pb.Outcome(kind=pb.KIND_SUCCEEDED, result=pb.Payload(inline=result), content_type="application/json")

    def failed(self, error):
        text = str(error) or type(error).__name__
        if isinstance(error, Rest):
            return pb.Outcome(kind=pb.KIND_YIELDED, message="waits for its children", **{"yield": pb.Yield(all_children=True, keep_checkpoint=True)})
        if isinstance(error, Permanent):
            return pb.Outcome(kind=pb.KIND_FAILED, code="permanent", permanent=True, message=text)
        if self.cause == pb.CAUSE_CANCEL:
            return pb.Outcome(kind=pb.KIND_CANCELED, code="canceled", message=text)
        if self.cause == pb.CAUSE_TIMEOUT:
            return pb.Outcome(kind=pb.KIND_FAILED, code="timeout", message="attempt timed out: " + text)
        if self.cause == pb.CAUSE_PAUSE:
            return pb.Outcome(kind=pb.KIND_YIELDED, message=text, **{"yield": pb.Yield(resume=True, keep_checkpoint=True)})
        if self.cause:  # detach: it will run again, if it may
            return pb.Outcome(kind=pb.KIND_INTERRUPTED, message=text)
        if isinstance(error, Later):
            return pb.Outcome(kind=pb.KIND_FAILED, code="script_failed", message=text, retry_after=error.after)
        return pb.Outcome(kind=pb.KIND_FAILED, code="script_failed", message="%s: %s" % (type(error).__name__, text))


class DataQueue:
    """Log lines and progress on their way, numbered; it blocks nobody."""

    def __init__(self):
        self.changed = threading.Condition()
        self.items, self.queued, self.dropped = collections.deque(), 0, 0

    def put(self, kind, item, before):
        with self.changed:
            if len(self.items) >= 1000:
                self.dropped += 1
                return before
            self.items.append((kind, item))
            self.queued += 1
            self.changed.notify()
            return self.queued

    def frames(self, session):
        with self.changed:
            frame = pb.DataResponse(through=self.queued - len(self.items))
        yield frame
        while session.open.is_set():
            with self.changed:
                self.changed.wait_for(lambda: self.items or not session.open.is_set(), timeout=1)
                frame = pb.DataResponse(dropped=self.dropped)
                self.dropped = 0
                for _ in range(min(64, len(self.items))):
                    kind, item = self.items.popleft()
                    getattr(frame, kind).append(item)
                frame.through = self.queued - len(self.items)
            if frame.logs or frame.progress or frame.dropped:
                yield frame


class Session:
    """One host's hold on this plugin: its Control stream, and Data beside it."""

    def __init__(self, epoch):
        self.epoch, self.received = epoch, 0
        self.out, self.open = queue.SimpleQueue(), threading.Event()
        self.open.set()

    def say(self, **kind):
        self.out.put(pb.PluginMessage(**kind))

    def end(self):
        self.open.clear()
        self.out.put(None)

    def frames(self, heartbeat):
        """Yields what is to be said, a Heartbeat each second among it."""
        due = time.monotonic() + 1
        while self.open.is_set():
            found = []
            try:
                found.append(self.out.get(timeout=max(0, due - time.monotonic())))
                while len(found) < 63:
                    found.append(self.out.get_nowait())
            except queue.Empty:
                pass
            if time.monotonic() >= due:
                found.append(heartbeat())
                due = time.monotonic() + 1
            found = [m for m in found if m]
            if found:
                yield pb.ControlResponse(messages=found)


class Plugin:
    def __init__(self):
        self.lock, self.data = threading.RLock(), DataQueue()
        self.instance, self.epoch, self.session, self.draining = uuid.uuid4().hex, 0, None, False
        self.spawns = False  # the host takes children
        self.leaving = False  # draining because somebody else than the host told it to
        self.attempts = {}  # by token: they run, or their outcome is not acked
        self.shutdown = threading.Event()

    # The calls of ExecutorService.

    def metadata(self, request, context):
        return pb.MetadataResponse(version=VERSION, config_schema=json.dumps(CONFIG).encode(), types=["shout", "choir"])

    def configure(self, request, context):
        self.obey(request.epoch, context)
        unknown = sorted(json.loads(request.config or b"{}"))
        if unknown:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown config key %r: this plugin takes none" % unknown[0])
        self.spawns = request.spawns
        if request.survive:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this plugin cannot survive its host")
        return pb.ConfigureResponse()

    def describe(self, request, context):
        return pb.DescribeResponse(info=info())

    def control(self, requests, context):
        first = next(requests)
        with self.lock:
            self.obey(first.epoch, context)
            if self.session:
                self.session.end()
            session = self.session = Session(first.epoch)
            session.say(hello=pb.Hello(instance=self.instance, name=NAME, version=VERSION, pid=os.getpid(),
                                       running=[a.token for a in self.attempts.values() if not a.finished],
                                       finished=[a.token for a in self.attempts.values() if a.finished]))
            if self.leaving:
                session.say(draining=pb.Draining())
        context.add_callback(session.end)
        threading.Thread(target=self.hear, args=(session, first, requests), daemon=True).start()
        yield from session.frames(lambda: self.heartbeat(session))

    def data_stream(self, requests, context):
        first = next(requests)
        with self.lock:
            session = self.session
        if session is None or session.epoch != first.epoch:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Data follows a Control stream of the same epoch")
        context.add_callback(session.end)
        yield from self.data.frames(session)

    def obey(self, epoch, context):
        with self.lock:
            if epoch >= self.epoch:
                self.epoch = epoch
                return
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "epoch %d is over" % epoch)

    # What the host says on Control.

    def hear(self, session, frame, requests):
        try:
            while session.open.is_set():
                for message in frame.messages:
                    kind = message.WhichOneof("kind")
                    if kind:  # else it is newer than this plugin
                        getattr(self, "on_" + kind)(session, getattr(message, kind))
                    session.received += 1
                frame = next(requests)
        except (StopIteration, grpc.RpcError):
            pass
        finally:
            session.end()

    def on_start(self, session, start):
        if len(start.token) != 16 or start.action != pb.ACTION_UNSPECIFIED:
            session.say(unsupported=pb.Unsupported(token=start.token, reason="only plain starts with a token of 16 bytes"))
            return
        with self.lock:
            attempt = self.attempts.get(start.token)
            if attempt:  # join it, and say again how it ended
                attempt.joined = session
                self.tell(attempt)
                return
            attempt = self.attempts[start.token] = Attempt(self, start.token)
            attempt.joined = session
        if start.rejoin:  # it may have run, whether this process drains or not
            self.finish(attempt, pb.Outcome(kind=pb.KIND_LOST, message="this process does not know it"))
        elif self.draining:
            self.finish(attempt, pb.Outcome(kind=pb.KIND_RELEASED, message="the plugin is draining"))
        else:
            if start.HasField("remaining"):
                attempt.timer = threading.Timer(start.remaining.ToTimedelta().total_seconds(), attempt.cancel, [pb.CAUSE_TIMEOUT])
                attempt.timer.daemon = True
                attempt.timer.start()
            threading.Thread(target=attempt.run, args=(start,), daemon=True).start()

    def on_cancel(self, session, cancel):
        with self.lock:
            attempt = self.attempts.get(cancel.token)
        if attempt:
            attempt.cancel(cancel.cause)

    def on_ack(self, session, ack):  # of a Finished: nothing else that is said here is acked
        with self.lock:
            self.attempts.pop(ack.token, None)

    def on_spawned(self, session, spawned):
        with self.lock:
            attempt = self.attempts.get(spawned.token)
            if attempt:
                attempt.answer(spawned.seq, spawned.id)

    def on_refuse(self, session, refuse):
        with self.lock:
            attempt = self.attempts.get(refuse.token)
            if attempt and refuse.seq in attempt.asked:  # a child, and no more
                error = Permanent(refuse.reason) if refuse.permanent else Later(refuse.reason, refuse.retry_after)
                attempt.answer(refuse.seq, None, error)
            elif attempt and attempt.finished:
                del self.attempts[refuse.token]
            elif attempt:
                attempt.unwanted = True
                attempt.cancel(pb.CAUSE_CANCEL)

    def on_drain(self, session, drain):
        self.draining = True

    def leave(self):
        """Drains, and says so: the host would go on sending starts, and get each of them back."""
        with self.lock:
            self.draining = self.leaving = True
            if self.session:
                self.session.say(draining=pb.Draining())

    def on_detach(self, session, detach):
        self.stop_all()

    # What attempts say.

    def finish(self, attempt, outcome):
        with self.lock:
            attempt.seq += 1
            attempt.asked.clear()
            attempt.finished = pb.Finished(token=attempt.token, seq=attempt.seq, outcome=outcome, data=attempt.mark)
            if attempt.unwanted:
                self.attempts.pop(attempt.token, None)
            else:
                self.tell(attempt)

    def ask(self, attempt, spawn):
        if attempt.joined is self.session and self.session:
            self.session.say(spawn=spawn)

    def tell(self, attempt):
        for spawn in list(attempt.asked.values()):
            self.ask(attempt, spawn)
        if attempt.finished and attempt.joined is self.session:
            self.session.say(finished=attempt.finished)

    def heartbeat(self, session):
        received = session.received  # before the list: a Start that is counted stands in it
        with self.lock:
            beat = pb.Heartbeat(running=list(self.attempts), received=received)
        beat.interval.FromSeconds(1)
        return pb.PluginMessage(heartbeat=beat)

    def stop_all(self):
        with self.lock:
            for attempt in self.attempts.values():
                attempt.cancel(pb.CAUSE_DETACH)

    def busy(self):
        with self.lock:
            return bool(self.attempts)

    def services(self):
        def unary(call, request=None):
            return grpc.unary_unary_rpc_method_handler(call, request and request.FromString, request and serialize)

        def stream(call, request):
            return grpc.stream_stream_rpc_method_handler(call, request.FromString, serialize)

        def shutdown(request, context):
            self.shutdown.set()
            return b""

        yield grpc.method_handlers_generic_handler("taskhost.executor.v1.ExecutorService", {
            "Metadata": unary(self.metadata, pb.MetadataRequest), "Configure": unary(self.configure, pb.ConfigureRequest), "Describe": unary(self.describe, pb.DescribeRequest),
            "Control": stream(self.control, pb.ControlRequest), "Data": stream(self.data_stream, pb.DataRequest)})
        # These two are so small that their bytes stand here: SERVING, and an empty message.
        yield grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": unary(lambda request, context: b"\x08\x01")})
        yield grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": unary(shutdown)})


def serialize(message):
    return message.SerializeToString()


def certificate():
    """A key and a certificate for this process: PEM, PEM, and the certificate's DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)  # whom the host asks for
            .sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    return (key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            cert.public_bytes(pem), cert.public_bytes(serialization.Encoding.DER))


def main():
    if os.environ.get("TASKHOST_PLUGIN") != "3d6a5b0e-executor":
        sys.exit("%s is an executor plugin of taskhost: put it into the host's plugin_dir and name it in an executor block" % NAME)
    parent, plugin, term = os.getppid(), Plugin(), threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: term.set())
    # Two threads are taken by the streams for good; a stream that takes over needs two more.
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[
        ("grpc.max_receive_message_length", 16 * MIB), ("grpc.max_send_message_length", 16 * MIB)])
    server.add_generic_rpc_handlers(tuple(plugin.services()))
    # Short: a socket's path has room for 107 bytes.
    path = os.path.join(tempfile.mkdtemp(prefix="p", dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or None), "s")
    host, mine = os.environ.get("PLUGIN_CLIENT_CERT"), ""
    if host:
        key, cert, der = certificate()
        mine = base64.b64encode(der).decode().rstrip("=")
        server.add_secure_port("unix:" + path, grpc.ssl_server_credentials([(key, cert)], host.encode(), True))
    else:
        server.add_insecure_port("unix:" + path)
    server.start()
    print("1|1|unix|%s|grpc|%s" % (path, mine), flush=True)
    while not plugin.shutdown.wait(0.5) and not term.is_set() and os.getppid() == parent:
        pass
    if term.is_set():  # finish what runs, within reason
        plugin.leave()
        until = time.monotonic() + 10
        while plugin.busy() and time.monotonic() < until and os.getppid() == parent:
            time.sleep(0.1)
        plugin.shutdown.wait(2)  # the host has heard of it, and ends what is done
    plugin.stop_all()
    server.stop(0.5).wait()
    for remove, what in ((os.unlink, path), (os.rmdir, os.path.dirname(path))):
        try:
            remove(what)
        except OSError:
            pass  # gRPC removes its socket itself
    os._exit(0)  # threads of scripts that do not stop are no reason to stay


if __name__ == "__main__":
    main()
