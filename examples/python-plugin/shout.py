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
H4sIAAAAAAACA6VZ3W8bxxEPyaNIDvVBr5OWoZPYudSxK6BSbOfTTZvKJA0RVmR1RRV10EI4kSvyqtMdc3cU7KcCRR+KvvS5LwX6p7T9A/rUvPW1/0GBPnZmdu94VHSU1L4Q
N7O/2d352JnZJfz2E1hVL9VgGgfhxiQM4kC8HjvRyTiI4o104OxB651REIw8tcmYo+nx5nAaOrEb+Fqqdfv8eOyeqih2TicaYP+1AI124B+7o2mopPp6iqOiBdVkkWbhTuF+
Taa0+A4sDRjfLOLIsjSUeBOqQyd2Dodu2CyxTIXojhvSEG38cBp6TUsPEX0QeuJ1KEdeEEfNMvJLUhPEVZNgMG4uIdeSmhBNqETT8Mw9U80K8qsyIe2bcCOjQzQJ/EjZN2Ct
o6JB6B4letk/AYG4OAy83WCYaivA8pE0mvI3aekMyI6sZU0ayn4Dbs7NYNZ6Ao3ZWponNsBy/eOAp60/bG1c5L+NHiIk4+y/FMEiUnwI5fjVREUoWULJdy6W7COEpTV4Zsli
1pIfQJn0idAlpfxdsC4aSL4fqmMVhmrIzqrKlKaxYBp7aHLtMBxLaHELaqfOy0PXn0xj9ltJVpHRI1q8DUCDoYqmXszeK0mCS2aIO1Cf+s6Z43rOkaeaVTZ5liXuwupA2z06
1ArVeP2VhEsqRPbfi1BNDMN+dU5nfsVvWmnIjppknJtliXdhmXU4jAZjdepwLC/LOvP2mSXegxWtSYKxGLOsmQb0CCp01tA+bKr6wzc39FncSM7iRsecVZkgaXGykxPH6nSC
vtR2rCNvy7DEO0BmPfTQh9qQ26/JCnJ2kPG7QgHHIVRnKozdxJRVmeGct7U2Y5b1pA61w2QJ+z8YlWTbC62JJ9IZDlHtyFgyIWkEV4zIxiYZGJLiVEe3hRFZ+1b0zuUBXHMa
YRxqM/C3+DEs4TaVF6H2FNLv54f0xg4Duxghr6SR4vgOHdd3/ZGxTkrTrsOpz0M13l1Cik+g5jmYwiKl/CaYE33en/0kt8oqgfcR2/oM6pldiAaUTtQrY0T6JM3PHG+qjAU1
8bj4acFWsGpyTZKp0rxYyObFH2FEoM2dkSI3kE3evdgm28j4UiNlKmJ/U4R6ZgQDt4xKhLFJXLcunmufIBh6Gis+xqrg+APlsRr1h29dLNVmDIoZtPgBlJzBCccInZALhbYG
JyhBOFpmqGIHLWAtWqbDGFpGo0kndrI5ijk6dQhCOjGWFgvVMQYdx1/uYpIxtJhGP1kC68T1h7aEtdR/piZ8kXGVzu7vXTzpnjcduf63nfV7C1bmxki1sfK8YLG7tglCqjEW
91EbK/TbkXJi47HbeYIGhsIzGfEZ1mJyPB5O7bu3F4SJGlKOMnjxBAAz5OBkErh+bPx4JydcUhxOkJESn0P1GI9sNMb1tUtzquRTg0L5VEJ0KQVG08kkYAW0d3POzMEMiHNk
5cgGg7Hjj3CKyiIbtDWIbGDwtP+5JJS7/45B0f4TiTTA/laBMhuYk2pwgqmpwJVIE+K7WIJw0kN3mHQxRPaGlFcp7ZrUzN+cy3WNYZ+UZEJShOmqXl6k5Z7zygucodRYTEpZ
Ly9dRTLrYOy/0FRDT7d62GVqivih+hVCTO42FOXnEKuua3L3JfV2hs2Wabhymf4irUF1PsT3FgT/hUXocyiHOJFqLi+qYVpeElCLayGSjkNnoJorl0v3CWikWQjby6S1XUWF
V/PS2hZjksZXfESG5+5t7Sq+NGBxG+qmVeKAa3DAgWZRo4aOqxxj44GNe/PGoomfapBM0Po2EE3UIG6K5DbA5P9RclufAszMfV3JmamvVebRAkY5OpeDzE2EvklPk/2THsuQ
9g+hYsxNx8L1PddXJgEYioQH46l/oobmWpCQ9m8KsKSrcU7yeADlgUPFr8hRciuvoCNEaqTYhPKI47J02UnSOBurPxb3nA2gDSP1NS9vSfq0t2FJF9urSuh04URpF2oouwpL
ukewMYVyjrX/WIAyV0nqEF0fqxUaJ7n9JnTaBRfnu+CcXhc3NHGHJp/SZ7bDLOPhXZ51mK1MSVvioZS2X0ItrcPZKQrzU3xEG49ViLFlivoCF6RQWjlUA4W3OF3MLZnS9i+h
Ykr4dWxuUndpLnUn12xrds22RwCzGn/lFR6ARU8LizuPJBMx1P41VJNW4MrL4MHEXDAITtXilZ5rkEzQpCnvz+K59Ab+XYKKAdLLANVvXn81707+DBGScZncW7xO7sXLJN2O
lW+Srw7OuuFx9k0SjnVxwinPJRzRgQr1064XcYTWH64vNAi34W5S+hJR8RbUJio8dXzchHnImTHEYyoYiD90jjE8TXO0IIyB0VsEppT1ylXe0DQAOSnrBUGkRmav8jiMBwB4
Q8lVnnmtx7CcVeVa2f0fmFZ4RXqKmfqx66UPQvnXRw2kgzkYux7eqH2+2GEiSmid2aKpic2qNNS5vsu6bt91D9ZOlJocZubQDz2rxJ6dVSw+9UxrnHOmZum3OJd+a1AxTbEN
UE16XPvnUO/gWUluu4/wTknVKrkq5ZUgwkgDnV2Ri5krsv2vArqQpzYXsf9pbsw7XjBKLtk5Vt0JRjtYeiVDMZyr6N8RP5GUFj3n7RmUTPF0EIdhMJmYhzhLJiSNxGPsBUdj
9g6OGNL+M4YbbzrHI5h6JnS3Ly5KPXuIkIxLsmJpLr0Hx8eRSq4JhkqTXpmX42+9hxirkX7A0YT9hwJUjJVydrkOxfReuuicIIpm8NSZ8niPZamJbBKz5pMY7tMJRxGXX0x5
9G0PoZrYP2dHpF3gK9NF8fdMu1JGu/yV1zHmdFONNhRb7X7v+e7hwe7+Xrfde9rrdhqviRuwYviy+7Ou7DcK68foT26u3oAb7a2D/e45kQYsa3Z7a7fd3WkUaBLN6fe+7D4/
6DeKYg3qmrVHv43STKrT7W+1txvW+p8KYFHJQa0az3q7nXPLCFhl7v5Bu93tdpBXoFmZ93Srt4OMIq3MDL0VZJXECtSYtfN8v9+wUoTE4a19RJRpK8x60evu0LxL6Q56u/2u
lAd7feRW1iVYe/qq29jbkv1z+1sFYG5vdw81LoibsMZ0e7vbfrb3HKfSZmCm7O4f7PQbpYf/LMFa1wT+PjZDLnZ4v4Ba+l+CyLlanf/DpHXvUpzJOy8w3Zk/CsTdvMeruT8t
Wu9fBjNTf4VJVT83ie/lbifzmti6ewlKz3u/8EFB/BQsSp8i55Ekk7Vb9iJIZsojjMnZPyni/sLNZP6uaX3/Cki9zpOPv/pw5Mbj6dEG9iObidjsIxqebHIb7DveZjLZ5Oho
iXPNo/8C5LRRSIcbAAA=
# descriptor ends
"""

NAME, VERSION = "shout.py", "1.0.0"
MIB = 1 << 20
MAX_PAYLOAD = 256 << 10  # more would come in chunks, which this plugin does not speak
MAX_INPUT = 64 << 10
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
        self.attempts = {}  # by token: they run, or their outcome is not acked
        self.shutdown = threading.Event()

    # The calls of ExecutorService.

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
            "Configure": unary(self.configure, pb.ConfigureRequest), "Describe": unary(self.describe, pb.DescribeRequest),
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
        plugin.draining = True
        until = time.monotonic() + 10
        while plugin.busy() and time.monotonic() < until and os.getppid() == parent:
            time.sleep(0.1)
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
