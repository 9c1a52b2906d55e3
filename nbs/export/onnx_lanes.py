"""The lanes in images, with NumPy, OpenCV and ONNX Runtime alone.

    srlane export WEIGHTS --to onnx --nms        makes the model (`export(WEIGHTS, nms=True)` in Python)
    python onnx_lanes.py MODEL.onnx IMAGE …      prints a line of JSON for each image
"""
import json, sys
import cv2, numpy as np, onnxruntime

def open_model(path): # (session, metadata)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return session, json.loads(session.get_modelmeta().custom_metadata_map['srlane'])

def crop_box(g, w, h): # (left, top, right, bottom) in pixels of an image of w×h: the same shares as in training
    x, y = w/g['ori_img_w'], h/g['ori_img_h']
    return round(g['cut_left']*x), round(g['cut_height']*y), w - round(g['cut_right']*x), h - round(g['cut_bottom']*y)

def decode(row, box, strips): # (n, 2) x, y in pixels of the image, top to bottom
    start, length = np.rint(row[2]*strips).clip(0, strips), np.rint(row[3]*strips).clip(-1, 2*strips)
    xs, i = row[4:].astype(float), np.arange(strips + 1)
    inside = (xs >= 0) & (xs <= 1)
    low = i < start                                     # below its start a lane goes on as long as it is inside
    inside[low] = np.logical_and.accumulate(inside[low][::-1])[::-1]
    inside &= (i <= start + length - 1) & (length >= 0)
    (left, top, right, bottom), t = box, 1 - i/strips
    points = np.stack([left + xs*(right - left), top + t*(bottom - top)], 1)[inside][::-1]
    return points if len(points) > 1 else points[:0]

def find_lanes(session, info, img): # (h, w, 3) uint8 BGR -> [(points, score)], surest first
    g, box = info['geometry'], crop_box(info['geometry'], img.shape[1], img.shape[0])
    crop = img[box[1]:box[3], box[0]:box[2]]
    small = cv2.cvtColor(cv2.resize(crop, (g['img_w'], g['img_h']), interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2RGB)
    rows, scores = session.run(['rows', 'scores'], {'images': small.transpose(2, 0, 1)[None]})
    return [(decode(r, box, g['num_points'] - 1), float(s)) for r, s in zip(rows[0], scores[0]) if s > 0]

if __name__ == '__main__':
    model = open_model(sys.argv[1])
    for name in sys.argv[2:]:
        lanes = [dict(score=s, points=p.round(3).tolist()) for p, s in find_lanes(*model, cv2.imread(name)) if len(p)]
        print(json.dumps(dict(image=name, lanes=lanes)))
