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
H4sIAAAAAAACA6VZzXIbxxE2gAUBNPgDjewEhmxJXkeWzKqQlmQ7sqLEoQCoiBJNMUswFbmSQi2xQ2DD5S68u2BJp1TllMol51xSlTfIA+SS5AFycm655g1yT3fP7GJBcUEy
uaC2e76emf6Z7p4B/OURrMpXcjiNg3BjEgZxIN6O7eh4HETxRjpwer91cxQEI09uMuZwerTpTEM7dgNfSbVunR2P3RMZxfbJRAHMvxWg0Q78I3c0DaUlv5niqGhBNVmkWbhd
uFezUlp8B5aGjG8WcWTZ0pR4F6qOHdsDxw2bJZapEN1xQxqijQ+modc01BDRB6En3oZy5AVx1Cwjv2QpgrhyEgzHzSXkGpYiRBMq0TQ8dU9ls4L8qpWQ5nW4ltEhmgR+JM1r
sNaR0TB0DxO9zJ+AQFwcBt5u4KTaCjB8JLWm/E1a2kOyI2tZszRlvgPX52bQaz2FxmwtxRMbYLj+UcDT1h+0Ns7z30YPERbjzL8WwSBSfArl+PVERihZQsmb50v2EcLSCjyz
ZDFryU+gTPpE6JJS/i5YFwUk3zvySIahdNhZVSulaSyYxh6aXDkMxxJa3IDaif1q4PqTacx+K1lVZPSIFu8D0GAoo6kXs/dKFsEtZojbUJ/69qntevahJ5tVNnmWJe7A6lDZ
PRoohWq8/krCJRUi8x9FqCaGYb/aJzO/4jet5LCjJhnnZlniA1hmHQbRcCxPbI7lZavOvH1miQ9hRWmSYAzGLCumBj2ECp01tA+bqv7g3Q11FjeSs7jR0WfVSpC0ONnJjmN5
MkFfKjvWkbelWeImkFkHHvpQGXL7LauCnB1k/LZQwHEI5akMYzcxZdXKcM7aWpkxy3pah9ogWcL8swEG2fZca+KJtB0H1Y60JROSRnDFiGysk4EmKU5VdBsYkbU3oncuD+Ca
0wjjUJmBv8WPYQm3Kb0ItaeQ/ig/pDd2GNjFCHltaSmO79B2fdcfaeukNO06nPo8VOPdJaT4AdQ8G1NYJKXfBH2iz/qzn+RWq0rgfcTScq6PTH8om3WVShOa1BsFvmwu8zb4
W2wDkEUGyhorrOLHC1SkaN8nrNKyFid06wuoZ/QXDSgdy9faffRJNj+1vanUvlPE4+KjQusJrM7Pe5F0KSNtSljVOTLJsGk+L2Tz+Y8wkjFW7JGk8CFFPzhf0W1kfKWQVipi
/rMI9cwIHrgy2jWMdcK9cf5c+wTBI6Ow4nOsZuQLj9WoP3jvfKk2Y1BMo8X3oWQPjzm26WSfK7Q1PEYJwtEyjoxttICxaJkOY2gZhSadODh1CsnRqUMQ0omxtFgoj/Cw8LnJ
XcxiDC2m0E+XwDh2fce0YC31n65lX2ZcparSh+dPuudNR67/prN+Z8DK3BipNpaeFyx21zZBSDXG4j5qY4l+O5R2rD12K09Qw1B4JiO+wB6CHI9JRfnu/QVhIh3KrRovngJg
Zh8eTwLXj7Ufb+eES4rDCTJS4glUjzDVRGNcX7k0p7o/0yiUTyVEl1J3NJ1MAlZAeTfnzBzMgDhHVo5sMBzb/ginqCyyQVuByAYaT/ufS565++9oFO0/kUgD7O8VKLOBuRgE
x5hSC1xBFSG+i6UTJx24TtJ9EdlzKGFSftMlhb+5BqnayD4pWQlJEaa6kfIiLffs115gO5bCYlLKennpMpJZB2PfiKZyPNWiYnesKOKH8lcI0TVHU1RXQuwWXF1zLugTZths
ewGXbi++TGtnnQ/x3QXBf27xfALlECeikrWg9ip5i4BKXAmRdBzaWAhXLpbuE1BLsxC2xUlLvooKr+altS3GJA27+IwMz13n2mV8qcHiFtR1i8cB1+CAA8Wi0oiOqxxhw4QX
jua1RRM/UyArQatbTDSRw7gpklsMk/9PwX4EMDP3VSVnpr6KpIkW0MrRuRxmblD0TXrq7J/0hpo0fwgVbW46Fq7vub7UCUBTJDwcT/1j6ej2IiHN3xRgSVXjnORxH8pDm4pf
kaPkRl5BR4ilkGITyiOOy9JFJ0nhTKz+WNxzNoA2jOQ3vLxh0ae5DUuq2F5WQqULO0q7Z02ZVVhSPYKJKZRzrPmHApS5Ss61moU3W03u3ovz3XtOj44bmriOzqf0me2My3h4
l2edcStT0pZ4KKXNV1BL63B2isL8FJ/RxmMZYmzpor7ABSmUVg7lUOLtUxVzw0pp85dQ0SX8KjbXqbs0l7qT5wFj9jxgjgBmNf7SK9wHg55EFnceSSZiqPlrqCatwKWXwYOJ
uWAYnMjFK71QICtBk6a8P4PnUhv4TwkqGkgvGlS/ef3VvLeE54iwGJfJvcWr5F68BNOtXvo6+argrGseZ98k4RjnJ5zyXMIRHahQP+16EUdo/cH6QoNwG+4mpS8RFe9BbSLD
E9vHTegHqBlDPKaCgfiBfYThqZujBWEMjN4iMKWs1670HN0A5KSslwSxFDL7BIHDeACAN5Q8QTCv9RiWs6pcKbt/i2mFV6QnpKkfu176kJV/7VVAOpjDses5ofT5YoeJKKFV
ZoumOjarlqbO9F3GVfuuu7B2LOVkkJlDPVCtEnt2VrH41DOtcc6ZmqXf4lz6rUFFN8UmQDXpcc2fQ72DZyW57T7EOyVVq+SqlFeCCGNp6OyKXMxckc1/F9CFPLW+iP1Pc2Pe
8YJRcsnOsepOMNrB0msxFMO5iv4d8dNOadEz5J5GWSmeDqITBpOJfkA0rISkkXiMveBozN7BEU2af8Jw403neARTz4Tu9sVFqWcPERbjkqxYmkvvwdFRJJNrgqbSpFfm5fhb
7SHGaqQenhRh/r4AFW2lnF2uQzG9ly46J4iiGTx5Kj3eY9lSRDaJGfNJDPdph6OIyy+mPPo2Hagm9s/ZEWlHT0yqi+LvmXaljHb5K69jzKmmGm0ottr93ovdwcHu/l633XvW
63Yab4lrsKL5VvdnXavfKKwfoT+5uXoHrrW3Dva7Z0QasKzY7a3ddnenUaBJFKff+6r74qDfKIo1qCvWHv02SjOpTre/1d5uGOt/LIBBJQe1ajzv7XbOLCNglbn7B+12t9tB
XoFmZd6zrd4OMoq0MjPUVpBVEitQY9bOi/1+w0gRFg5v7SOiTFth1sted4fmXUp30Nvtdy3rYK+P3Mq6Bcaeuuo29ras/pn9rQIwt7e7hxoXxHVYY7q93W0/33uBUykzMNPq
7h/s9BulB/8qwVpXB/4+NkMudni/gFr6H4jIuVqd/aOndfdCnM47LzHd6T84xJ28x6u5P1taH10E01N/jUlVPTeJ7+VuJ/Oa2LpzAUrNe6/wSUH8FAxKnyLnkSSTtVvmIkhm
ykOMydk/QOLews1k/mZqfXwJpFrn6edffzpy4/H0cAP7kc1EbPYROceb3Ab7treZTDY5PFziXPPwvx+6jaA/HAAA
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
        self.leaving = False  # draining because somebody else than the host told it to
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
