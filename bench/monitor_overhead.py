"""What the Monitor costs a training step of the demo network, with its widget view in a real Jupyter kernel.

    python bench/monitor_overhead.py [--pairs 12] [--steps 8] [--batch 16] [--quick]

Blocks of steps with and without the Monitor alternate in one kernel that trains in a thread; nobody reads the kernel's messages,
which is what a closed browser tab comes to. Seconds are those of the CPU, of all threads of the kernel: the machine's other work
does not count. `share` is the time that the Monitor's own calls took, by the clock, of the time of the steps around them.
The last line is one JSON object."""
import argparse, json, os, sys, tempfile, time
from statistics import median

def measure(folder, pairs, steps, batch_size):
    "In the kernel: (CPU seconds of a step without, with; clock seconds of the Monitor's calls and of the steps with it; drawings)"
    os.chdir(folder)
    from srlane.config import load_config
    from srlane.look.monitor import Monitor
    from srlane.look.profile import train_batches
    from srlane.runner import Runner
    from srlane.synth import make_culane
    make_culane('roads', n_train=4*batch_size, n_val=8, n_test=0, size=(820, 295), rain=0, progress=False)
    runner = Runner(load_config('demo', 'data_root=roads', 'work_dirs=runs', 'ori_img_w=820', 'ori_img_h=295', 'cut_height=135', f'batch_size={batch_size}', 'workers=0', 'total_iter=100000'))
    monitor = Monitor(runner, 'widget')
    monitor.open(buttons=True)
    monitor.before_train(runner)
    batches, rec, state, spent, drawn = train_batches(runner), runner.recorder, runner.state, [0.], [0]
    update = monitor.view.update
    def counted(m): drawn[0] += 1; update(m)
    monitor.view.update = counted
    kept = [next(batches) for _ in range(4)]
    runner.validate()                                   # a table and pictures to show
    for step in range(1, 2001):                         # a run that is under way: its curves are as long as they get
        state.step = step
        rec.history.add_step(step, dict(cls_loss=1., iou_loss=2., loss=3. + 1/step), 1e-3, .01, .2)
    def block(on):
        cpu, clock = time.process_time(), time.perf_counter()
        for i in range(steps):
            start = time.perf_counter()
            state.step += 1
            runner.optimizer.zero_grad()
            output = runner.net(kept[i%4])
            runner.fabric.backward(output['loss'].sum())
            runner.optimizer.step()
            rec.update_loss_status(output['loss_status'])
            rec.data_time.update(0.); rec.batch_time.update(time.perf_counter() - start)
            rec.history.add_step(state.step, output['loss_status'], 1e-3, 0., rec.batch_time.latest)
            if on:
                start = time.perf_counter()
                monitor.after_step(runner, kept[i%4], output)
                spent[0] += time.perf_counter() - start
        return (time.process_time() - cpu)/steps, time.perf_counter() - clock
    runner.train_mode()
    block(True); block(False)
    spent[0] = drawn[0] = 0
    rows = [(block(False), block(True)) if i%2 else tuple(reversed((block(True), block(False)))) for i in range(pairs)]
    return [[a[0], b[0]] for a, b in rows], spent[0], sum(b[1] for _, b in rows), drawn[0]

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--pairs', type=int, default=12); p.add_argument('--steps', type=int, default=8); p.add_argument('--batch', type=int, default=16)
    p.add_argument('--quick', action='store_true', help='two pairs of two steps, only to see that it runs')
    a = p.parse_args()
    if a.quick: a.pairs, a.steps, a.batch = 2, 2, 4
    from jupyter_client.manager import start_new_kernel
    manager, client = start_new_kernel(extra_arguments=['--log-level=ERROR'])
    try:
        with tempfile.TemporaryDirectory() as tmp:
            code = (f'import sys, json, threading; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import monitor_overhead as b; out = []\n'
                    f't = threading.Thread(target=lambda: out.append(b.measure({tmp!r}, {a.pairs}, {a.steps}, {a.batch}))); t.start(); t.join()\nprint("RESULT" + json.dumps(out[0]))')
            printed = []
            client.execute_interactive(code, timeout=1200, output_hook=lambda m: printed.append(m['content'].get('text', '') or '\n'.join(m['content'].get('traceback', []))))
            lines = [l for l in ''.join(printed).splitlines() if l.startswith('RESULT')]
            if not lines: sys.exit(''.join(printed)[-3000:])
            pairs, spent, clock, drawn = json.loads(lines[0][6:])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    without, with_, ratio = median(x for x, _ in pairs), median(y for _, y in pairs), median(y/x for x, y in pairs)
    print(f'demo network, batches of {a.batch}, {a.pairs} pairs of {a.steps} steps; the view was drawn {drawn} times, {drawn/clock:.2f} a second')
    print(f'{"step without the Monitor":<36}{1e3*without:9.1f} ms of CPU time\n{"step with it":<36}{1e3*with_:9.1f} ms\n{"overhead, median of pairs":<36}{100*(ratio - 1):9.2f} %\n'
          f'{"share of the calls, by the clock":<36}{100*spent/clock:9.2f} %')
    print(json.dumps(dict(overhead=round(ratio - 1, 4), share=round(spent/clock, 4), step_ms=round(1e3*without, 2), drawn_a_second=round(drawn/clock, 2), pairs=a.pairs, steps=a.steps, batch=a.batch)))

if __name__ == '__main__': main()
