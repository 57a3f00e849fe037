#!/usr/bin/python3
"""A whole executor plugin in Python: one task type, "shout".

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
H4sIAAAAAAACA6VZS3MbxxE2gMWrwQe0shMYsiV5HVkyq0Ja9CO2rMShAKiIEkUxSzAVuZJCLYEhsOFyF95dMOIhlaqcklxyziVV+Qc55l/klFxTufgf5J7unpnFguKCZHJB
bfd8PdPT3dPdM4Dffwkr4pUYTOMgXJ+EQRyYb8ZOdDwOong9GTh92Lw9CoKRJzYYczg92hhOQyd2A19KNe+cH4/dExHFzslEAqwbsPpcxM7QiR1bfDPFMevXUJ+xokngR8Js
QPlUhBFO3MjdzT2o2po034flQeAfuaN+NBiLE6eRx/Ele0ky95lnvgnF+GwiokbhbgGFJUFcPxgi10CRii0J6985qLdYeBoKpZPZhIretlIgoc3vQEkuppZWlPk2VGgP/aEb
4rqsNNFtN6QhMmV/Gnq8OA4RfRB6pFTkBXHUKCK/YEuCuGISDMaNEnINWxJklWganrqnolHmLWjSfBdAWYVWr/ASVcnB9a2bcCO1RWljckVbRIPQPdTbtn4MJuLiMPB20Tba
GCYYZCplCP4mIzgDcjwboWorynoLbs7NoNZ6AvXZWsrH62C4/lHA09Y2m+sXBdx6FxE246xv82AQaX6ivZtD79Y2b18s2UMIS8+8Lw2dTxv6Ix0TBZ4rQwveiwRSaAzFkQhD
MVSBlNA0FkxjDz0i/YljmjZvQfXEedV3/ck0ZrcW7AoyukST/2gwFNHUi9m5BZvgNjPMu1Cb+s6p43rOoSeUf9Ms8x6sDKTdo77cUJXXX9bcXVYeTw+exhAj0T/2g1/5DWDU
EjMPJM/6ex4q2nrsfOdk5nz8JnWG7M1JKgLSLPM9WOKN6kNa4JNSY546o6iK3K7GGPIgS6YCfQxlyiBoRLZnbfPtdZlh1nWGWW+rDGRrJC1OxnTiWJxM0OHS2DXkbSmWeRvI
9n0PHS2tvf2GXUbODjJ+l8vhOIQCU07santX7BTnvEOkrdOsJzWo9vUS1l8NMMgBF1oTT7UzHOK2I2VJTaazYGE+CyYJzjiX4C7IJbjmNMJglWbgb/NHUEI1hRfh7inuP8iO
+/UdBnYwjM5sJcWHIHRc3/VHyjoJTVqHU5+HqqydJs0fQNVzMA1GQsjIowN33p89XTHsCoH3EUvLuT4y/YFo1GQ61jRtbxT4orHEavC3uQ1AFulLayzzFj9csEWK9n3Cyl1W
Y003v4Baav9mHQrH4ky5jz7J5qeONxXKd5J4lP8813wMK/PzXiZdSElbAlZUItVpOKkJuXRN+CFGMsaKMxIUPrTR9y7e6DYynkuknYhY/8xDLTWCB67IuUBl5VsXz7VPEDwy
Emt+hhWRfOHxNmqb71ws1WIMiim0+X0oOINjjm062RcKbQ2OUYJwtMwQGwW0gLFomTZjaBmJpj1xcKoUkrGnNkFoT4ylxUJxhIeFz03mYjZjaDGJflIC49j1h5YNq4n/VMH7
KuUqWbrev3jSPW86cv3XnfUHA5bnxmhrY+F5wWJ3bROEtsZY1KM6Fui3Q+HEymN3sgQVDIVnMuYX2IeQ4zGpSN+9uyBMxJByq8KbT7BRGYvB8SRw/Vj58W5GuCQ4nCAlZT6G
yhGmmmiM60uXZrQATxUK5RMJs0OpO5pOJgFvQHo348wczIA4R1qObDAYO/4IpygvskFLgsgGCk/6zyXPTP3bCkX6a4kkwP5VhiIbmItBcCxkq7xkS8L8LpZOnLTvDnWLRmR3
SAmT8psqKfzNNUjWRvZJwdYkRZhsWYqLdrnnnHmBM7QlFpNS2sulq0imHYzNJZpq6Mk2FztsSRE/FL9EiKo5iqK6EmK34Kqac0mfMMOm2wu4cnvxVVI7a3yI7y8I/guL52Mo
hjgRlawFtVfK2wSU4lKIpOPQwUK4fLl0j4BKmoWwd9Z9+wpueCUrrW0xRnf15qdkeG5NV6/iSwU270BNtXgccHUOOJAsKo3ouPIRNkx4K2ncWDTxUwmyNVrehKKJGMQNU9+E
mKRWYRK6QejGZ42bOFS0E/r/KeafA8xccV3JmRuuI2mhddTG6cwOUlcw+iYbqMqg+0ZFWl9CWbmCjozre64vVHJQFAkPxngJEEPVemjS+m0OSrJSZySWh1AcOFQY8xxBt7KK
PUJsiTQ3oDjimC1cdsokzsLOAAt/hgJow0h8w8sbNn1a21CShfiqEjKVOFHSWSvKqkBJ9g8WplfOv9afclDkCjrXhuZeb0O5s8/Pd/YZ/TsqNHGHKtfSZ7prLuLBXpp1zc1U
uSvxUEJbr6Ca1Oj0FLn5KT4lxWMRYmypgr/ABQmUVg7FQOD1VRZ6w05o6xdQVuX9OjZXab0wl9b1+4Ixe1+wRgCz+n/lFR6CQU8ui7sSnaUYav0GKrpNuPIyeDAxFwyCE7F4
pRcSZGs07ZT1M3guqcB/ClBWQHoSodrO669kPUY8Q4TNuFRezl8nL+MFmZ4FhK8SswzOmuJxZtYJx7g44RTnEo7ZhjL12q4XcYTWNtcWGoRbdFeXRS1qvgPViQhPHB+VUA9c
M4b5iIoJ4vvOEYanapwWhDEweovAlLLOXOENVXOQkbJeEsSWyPTzBA7jAVAvJep5gnnNR7CU3sq1svs/MK3wivQGNfVj10tewrKvxBJIB3Mwdr1hKHy+9GEi0rTMbNFUxWbF
VtS5nsy4bk92H1aPhZj0U3PIF64VYs/OKhafWqptzjhTs/Sbn0u/VSirhtkCqOj+1/oZ1NqzF2Ns20pcrfQ1KqsEEcZW0Nn1OZ+6Plvf5tCF6Zfn/2luzDteMNIX8Ayr7gSj
HSy9NkMxnLEvCUb87FNY9I65p1B2gqeDOAyDyUS9QBq2JmkkHmOfOBqzd3BEkdZfMNxY6QyPYOqZ0L0/vyj17CHCZpzOioW59B4cHUVCXyEUlSS9Ii/H31KHGKuRfJSShPXH
HJSVlTK0XIN8cmdddE4QRTN44lR4rGPRlkQ6iRnzSQz1dMJRxOUXUx59W0OoaPtnaES7o+cn2UXx92x3hdTusldew5iTDTfa0Nxq9bovdvsHu/t7nVb3abfTrr9h3oBlxbc7
P+3YvXpu7Qj9yc3VW3CjtXWw3zknUoclyW5t7bY6O/UcTSI5ve7zzouDXj1vrkJNsvbot16YSbU7va3Wdt1Y+3MODCo5uKv6s+5u+9wyJqwwd/+g1ep02sjL0azMe7rV3UFG
nlZmhlQFWQVzGarM2nmx36sbCcLG4a19RBRJFWa97HZ2aN5SokF3t9ex7YO9HnLLazYYe/IaXN/bsnvn9FsBYG53dw93nDNvwirTre1O69neC5xKmoGZdmf/YKdXL2z+zYDV
jgr8fWyGXOzwXkJF/09l3rv4fJz7a6v5wWUwlXR+DtXk/xkzQ+j8f1TN+5fi1OyouP7zJUvxc38EZSn+2n84X2O+lq9c5vcy1Uk9YjbvXYKS8z7IfZQzfwIGZWYz420mVRCa
1iJIaspDDPfZv1Pmg4XKpP4Ca354BaRc58lnX38ycuPx9HAdW50NLTb7iIbHG9xh+463oSebHB6WOI19/F/H2EXijB0AAA==
# descriptor ends
"""

NAME, VERSION = os.path.basename(sys.argv[0]), "1.0.0"  # operators know a plugin by its file
MIB = 1 << 20
MAX_PAYLOAD = 256 << 10  # more would come in chunks, which this plugin does not speak
MAX_INPUT = 64 << 10
CONFIG = {"type": "object", "properties": {}, "additionalProperties": False}  # it takes no keys
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}


class Permanent(Exception):
    """A failure that no retry cures."""


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
        pb.TypeInfo(name="shout", description="says it louder", input_schema=json.dumps(SCHEMA).encode())])


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

    def run(self, start):
        try:
            outcome = self.execute(start)
        except Exception as e:  # a bug in the script, too, ends its attempt and no more
            outcome = self.failed(e)
        if self.timer:
            self.timer.cancel()
        self.plugin.finish(self, outcome)

    def execute(self, start):
        if start.type != "shout":
            raise Permanent("no task type %r here" % start.type)
        if start.input.chunked:
            raise Permanent("the input is larger than %d bytes" % MAX_PAYLOAD)
        result = json.dumps(script(self, json.loads(start.input.inline)), ensure_ascii=False).encode()
        if len(result) > MAX_PAYLOAD:
            return pb.Outcome(kind=pb.KIND_FAILED, code="result_too_large", permanent=True, message="%d bytes" % len(result))
        return pb.Outcome(kind=pb.KIND_SUCCEEDED, result=pb.Payload(inline=result), content_type="application/json")

    def failed(self, error):
        text = str(error) or type(error).__name__
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
        self.leaving = False  # draining because somebody else than the host told it to
        self.attempts = {}  # by token: they run, or their outcome is not acked
        self.shutdown = threading.Event()

    # The calls of ExecutorService.

    def metadata(self, request, context):
        return pb.MetadataResponse(version=VERSION, config_schema=json.dumps(CONFIG).encode(), types=["shout"])

    def configure(self, request, context):
        self.obey(request.epoch, context)
        unknown = sorted(json.loads(request.config or b"{}"))
        if unknown:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown config key %r: this plugin takes none" % unknown[0])
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
        if self.draining:
            self.finish(attempt, pb.Outcome(kind=pb.KIND_RELEASED, message="the plugin is draining"))
        elif start.rejoin:
            self.finish(attempt, pb.Outcome(kind=pb.KIND_LOST, message="this process does not know it"))
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

    def on_refuse(self, session, refuse):
        with self.lock:
            attempt = self.attempts.get(refuse.token)
            if attempt and attempt.finished:
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
            attempt.finished = pb.Finished(token=attempt.token, seq=1, outcome=outcome, data=attempt.mark)
            if attempt.unwanted:
                self.attempts.pop(attempt.token, None)
            else:
                self.tell(attempt)

    def tell(self, attempt):
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
