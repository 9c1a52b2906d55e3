"Weights from a rule instead of a file: the same figures that the reference was run with (used by the notebooks' tests only)"
import zlib
from math import prod
import numpy as np, torch

def rule_value(name:str,    # full name in the state_dict, e.g. `neck.lateral_convs.0.bias`
               shape:tuple, # of the entry
              )->np.ndarray|None: # float32, or None for a buffer that keeps what its constructor made
    "The value that the rule gives to the entry `name`"
    r = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    leaf, f = name.rpartition('.')[2], np.float32
    if   leaf == 'running_mean':                              r = f(.1)*r
    elif leaf == 'running_var':                               r = 1 + f(.1)*np.abs(r)
    elif leaf == 'z_embeddings':                              r = f(.9269) + f(.2379)*r
    elif leaf == 'bias':                                      r = f(.1)*r
    elif leaf == 'weight' and 'criterion' in name:            return None
    elif leaf == 'weight' and len(shape) == 1:                r = 1 + f(.1)*r
    elif leaf == 'weight':                                    r = r * f(1/np.sqrt(prod(shape[1:])))
    else:                                                     return None
    if '.reg_layers.' in name: r = r*f(.1)
    if name.endswith('.reg_layers.bias'): r[1] += f(.6)
    if '.cls_layers.' in name: r = r*4
    if '.angle_conv.' in name: r = r*2
    return r

def rule_weights(net:torch.nn.Module,   # is changed in place
                 prefix:str='',         # the name of `net` inside the whole network, with its dot: `backbone.`
                )->torch.nn.Module:     # `net`
    "Fill `net` with the rule's weights"
    with torch.no_grad():
        for name,t in net.state_dict().items():
            value = rule_value(prefix+name, tuple(t.shape))
            if value is not None: t.copy_(torch.from_numpy(value))
            elif name.endswith('num_batches_tracked'): t.zero_()
    return net

def eval_images(): return torch.from_numpy(np.random.default_rng(0).random((2,3,320,800), dtype=np.float32))  # (2,3,H,W)
def train_images(): return torch.from_numpy(np.random.default_rng(1).random((4,3,320,800), dtype=np.float32)) # (4,3,H,W)

def checksum(t)->list: # sum, sum of magnitudes, first, last
    "Four figures in float64 that tell two tensors apart"
    v = t.detach().double().flatten()
    return [v.sum().item(), v.abs().sum().item(), v[0].item(), v[-1].item()]
