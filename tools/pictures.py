"""The pictures that are not outputs of a notebook: the drive of the README, and the card that is shown where somebody links to the site.

    python tools/pictures.py [drive] [card]    nbs/images/drive.webp, nbs/images/card.png

All roads are synthetic, and all lanes are what the packaged network finds on them.
"""
import io, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root))
images = root/'nbs/images'
seed, size = [15, 16], (960, 540)                 # of the drive and its frames

def frames(n:int, step:float): # yields arrays; step: metres from frame to frame
    "A drive with its lanes, as `srlane predict --track` draws them"
    from dataclasses import replace
    from srlane.predict import Predictor
    from srlane.synth import WIDE, drive, render
    from srlane.video import Tracker
    from srlane.video.draw import draw_frame
    ranges, find_lanes, tracker = replace(WIDE, bonnets=0., night=0., fog=0., snow=0., stamps=0., dusk=0., tunnel=0.), Predictor(device='cpu'), Tracker()
    for scene in drive(seed, n, 'normal', size, ranges, speed=step):
        found = tracker.update(find_lanes(render(scene)))
        yield draw_frame(found.image, found.curves, found.ids, found.ego, found.offset)

def make_drive(n:int=60, fps:int=12, width:int=640):
    "A moving picture of less than 2 MB"
    from PIL import Image
    small = [Image.fromarray(f).resize((width, round(width*size[1]/size[0])), Image.Resampling.LANCZOS) for f in frames(n + 8, 1.6)][8:]      # the tracker has its lanes by then
    for quality in range(70, 20, -10):
        small[0].save(out := io.BytesIO(), 'WEBP', save_all=True, append_images=small[1:], duration=1000//fps, loop=0, quality=quality, method=6)
        if out.tell() < 2e6: break
    (images/'drive.webp').write_bytes(out.getvalue())
    print(f'drive.webp: {n} frames, {out.tell():,} bytes')

def make_card():
    "1200×630 pixels: the name over a frame of the drive; less than 200 kB"
    import matplotlib.pyplot as plt
    from PIL import Image
    road = Image.open(images/'drive.webp').convert('RGB')
    fig = plt.figure(figsize=(12, 6.3), dpi=100)
    ax = fig.add_axes((0, 0, 1, 1))
    ax.imshow(road, interpolation='bicubic', aspect='auto')
    ax.axhspan(-1, 118, color='#1f2c38', alpha=.9, lw=0)
    ax.set(ylim=(348, 12))
    ax.set_axis_off()
    fig.text(.05, .83, 'srlane', color='white', size=62, weight='bold')
    fig.text(.05, .755, 'Lane detection: train, validate, predict, export', color='white', size=25)
    fig.savefig(out := io.BytesIO(), dpi=100)
    plt.close(fig)
    Image.open(out).convert('RGB').quantize(256).save(images/'card.png', optimize=True)
    print(f'card.png: {(images/"card.png").stat().st_size:,} bytes')

if __name__ == '__main__':
    wanted, make = sys.argv[1:] or ['drive', 'card'], dict(drive=make_drive, card=make_card)
    if {*wanted} - {*make}: raise SystemExit(__doc__)
    for name in wanted: make[name]()
