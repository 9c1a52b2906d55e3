"""Python code in processes of its own that begin with what is slow to import already imported: one process imports it, and is copied for each.

A copy is as good as a new process: what one notebook does, no other sees. srlane is imported beforehand too, and its roads have their textures.
"""
import atexit, gc, importlib, json, os, pkgutil, select, signal, socket, subprocess, sys, tempfile, threading, time, traceback
from concurrent.futures import Future
from contextlib import suppress

modules = 'nbdev.test IPython.core.magics fastcore.test nbconvert torch torch._dynamo torch.export torch.utils.tensorboard lightning.fabric cv2 matplotlib.pyplot scipy.interpolate scipy.optimize omegaconf safetensors.torch tqdm.auto ipywidgets av onnx onnxscript'.split()

class Forks:
    "Runs code in copies of a process that has imported `modules`, or in new processes; `with Forks(…) as forks` ends them all"
    def __init__(self,
                 cwd, env:dict,                         # where and with which environment the code begins
                 copy:bool=sys.platform == 'linux'):    # whether to copy: Windows cannot, and libraries of macOS do not bear it
        self.cwd, self.env, self.copy, self.server, self.awaited, self.starting = cwd, env, copy, None, {}, threading.Lock()

    def _start(self):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], cwd=self.cwd, env=self.env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        with suppress(OSError):
            while message := self.sock.recv(1000):
                name, status = json.loads(message)
                self.awaited.pop(name).set_result(status)
        for f in [*self.awaited.values()]: f.set_exception(BrokenPipeError('the process that imports has ended'))

    def run(self,
            code:str,          # Python
            timeout:float=900, # seconds; then it is killed, with what it has started
           )->tuple:           # exit status, and all that it and what it has started wrote
        "What `python -c code` does"
        start = time.monotonic()
        with tempfile.NamedTemporaryFile() as out:
            try: status = self._copy(code, out, timeout) if self.copy else self._new(code, out, timeout)
            except ConnectionError: status = self._new(code, out, timeout)     # the server has said why it ended
            out.seek(0)
            text = out.read().decode(errors='replace')
        return status, text + f'\nstopped after {timeout:g} s\n'*(time.monotonic() - start > timeout)

    def script(self, path, *args)->tuple: # as `run`
        "What `python path args` does"
        argv = [str(a) for a in (path, *args)]
        return self.run(f'import runpy, sys; sys.argv = {argv}; sys.path[0] = {os.path.dirname(os.path.abspath(path))!r}; runpy.run_path({argv[0]!r}, run_name="__main__")')

    def _copy(self, code, out, timeout):
        with self.starting:
            if not self.server: self._start()
        f = self.awaited[out.name] = Future()
        self.sock.send(json.dumps([code, out.name, timeout]).encode())
        return f.result()

    def _new(self, code, out, timeout):
        try: return subprocess.run([sys.executable, '-c', code], cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=timeout).returncode
        except subprocess.TimeoutExpired: return -signal.SIGTERM

    def __enter__(self): return self
    def __exit__(self, *_):
        if self.server: self.sock.shutdown(socket.SHUT_RDWR); self.server.wait()

# --- In the process that imports

def warm():
    "Import all of srlane, and make the textures of its roads"
    import cv2, srlane
    for m in pkgutil.walk_packages(srlane.__path__, 'srlane.'):
        with suppress(Exception): importlib.import_module(m.name)        # whose test will say it
    from srlane.synth import texture
    cv2.setNumThreads(0)                                 # its threads would be lost in a copy
    for k in range(4): texture.ground_texture(k)
    for k in texture._kinds: texture.roadside_texture(k)
    for c in srlane.synth.culane_categories: srlane.synth.make_scene(seed=0, category=c, size=(410, 148))
    cv2.setNumThreads(-1)

def serve(sock):
    "Import, then copy this process for each piece of code that arrives"
    signal.signal(signal.SIGINT, signal.SIG_IGN)         # Ctrl-C is for who waits, and with him this ends
    for m in modules:
        with suppress(ImportError): importlib.import_module(m)   # an extra that is not installed
    warm()
    threads = len(os.listdir('/proc/self/task'))
    if threads > 1: raise SystemExit(f'{threads} threads run after the imports, and a copy would lack all but one: each notebook gets a new process')
    gc.collect(); gc.freeze()
    running = {}                                         # process → its output, when it is killed
    while True:
        if select.select([sock], [], [], .02)[0]:
            message = sock.recv(1_000_000)
            if not message: return [kill(p) for p in running]
            code, out, timeout = json.loads(message)
            pid = os.fork()
            if not pid: work(code, out, sock)
            running[pid] = out, time.monotonic() + timeout
        for pid, (out, end) in [*running.items()]:
            if time.monotonic() > end: kill(pid)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done: sock.send(json.dumps([out, os.waitstatus_to_exitcode(status)]).encode()); del running[pid]

def kill(pid:int):
    "End a copy and what it has started, but for what went into a group of its own"
    with suppress(ProcessLookupError): os.killpg(pid, signal.SIGKILL)

def work(code:str, out:str, sock):
    "The copy: a group of processes, an output and signals of its own. It ends as Python does, but does not take thousands of modules apart"
    sock.close()
    os.setpgrp()
    os.dup2(os.open(out, os.O_WRONLY|os.O_APPEND), 1)
    os.dup2(1, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv, sys.path[0], status = ['-c'], '', 0
    try: exec(code, dict(__name__='__main__'))
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
        if not isinstance(e.code, (int, type(None))): print(e.code, file=sys.stderr)
    except BaseException: status = 1; traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    for f in (sys.stdout, sys.stderr): f.flush()
    os._exit(status)

if __name__ == '__main__': serve(socket.socket(fileno=int(sys.argv[1])))
