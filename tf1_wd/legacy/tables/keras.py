"""The modules that Keras 2 had, and where tf.keras has their names. Imports no TensorFlow."""

from __future__ import annotations

# at the same place below tf.keras
_SAME = """
activations backend callbacks constraints datasets initializers layers losses metrics models optimizers preprocessing
regularizers utils wrappers applications applications.densenet applications.imagenet_utils
applications.inception_resnet_v2 applications.inception_v3 applications.mobilenet applications.mobilenet_v2
applications.nasnet applications.resnet applications.resnet50 applications.resnet_v2 applications.vgg16
applications.vgg19 applications.xception datasets.boston_housing datasets.cifar10 datasets.cifar100
datasets.fashion_mnist datasets.imdb datasets.mnist datasets.reuters preprocessing.image preprocessing.sequence
preprocessing.text wrappers.scikit_learn
"""

# module: the modules that answer for its names, in turn. They are of tf.keras; `src.` begins one of Keras's source, and
# `ours` is of ours. `old=new` is a name that they have otherwise, in one way or another. First is the one above, last
# that at the same place in the source.
_OTHERS = """
applications.mobilenetv2: applications.mobilenet_v2
backend: ours src.utils.conv_utils
backend.common: backend ours src.utils.conv_utils
backend.tensorflow_backend: backend ours src.backend src.utils.conv_utils Function=GraphExecutionFunction
  get_variable_shape=int_shape
callbacks.callbacks: callbacks
callbacks.tensorboard_v1: callbacks
constraints: maxnorm=max_norm nonneg=non_neg unitnorm=unit_norm
engine: layers models utils
engine.base_layer: layers src.engine.node
engine.input_layer: layers
engine.network: models utils src.engine.functional Network=Functional
engine.saving: models src.saving.legacy.hdf5_format src.saving.hdf5_format
engine.sequential: models
engine.topology: layers models utils src.engine.functional src.engine.network src.engine.node
  src.saving.legacy.hdf5_format src.saving.hdf5_format Container=Functional,Network Network=Functional
engine.training: models src.engine.training_v1
engine.training_arrays: src.engine.training_arrays_v1
engine.training_generator: src.engine.training_generator_v1
engine.training_utils: src.engine.training_utils_v1
layers.advanced_activations: layers
layers.convolutional: layers src.layers.convolutional.base_conv _Conv=Conv Deconvolution2D=Conv2DTranspose
  Deconv2D=Conv2DTranspose Deconvolution3D=Conv3DTranspose Deconv3D=Conv3DTranspose
layers.convolutional_recurrent: layers
layers.core: layers
layers.cudnn_recurrent: layers
layers.embeddings: layers
layers.local: layers
layers.merge: layers src.layers.merging.base_merge
layers.noise: layers
layers.normalization: layers
layers.pooling: layers
layers.recurrent: layers
layers.wrappers: layers
legacy: ours
legacy.interfaces: ours
models: layers src.saving.legacy.hdf5_format
objectives: losses
utils: src.utils.layer_utils src.utils.generic_utils ours
utils.conv_utils: utils
utils.data_utils: utils
utils.generic_utils: utils
utils.io_utils: utils
utils.layer_utils: utils
utils.multi_gpu_utils: utils ours
utils.np_utils: utils
utils.training_utils: utils ours
utils.vis_utils: utils
"""


def _read():
    homes, aliases = {name: [name] for name in ["", *_SAME.split()]}, {}
    for line in _OTHERS.strip().replace("\n  ", " ").splitlines():
        name, _, rest = line.partition(": ")
        found = homes.setdefault(name, [])
        for entry in rest.split():
            old, _, new = entry.partition("=")
            if new:
                aliases[name, old] = new.split(",")
            else:
                found.append(entry)
    for name, found in homes.items():
        found.append("src." + name if name else "src")
    return homes, aliases


# module below `keras` ("" is keras itself): the homes of its names; (module, name): what it may be called there
HOMES, ALIASES = _read()


def children(module):
    """The names of the modules right below one."""
    prefix = module and module + "."
    return {name[len(prefix) :] for name in HOMES if name.startswith(prefix) and "." not in name[len(prefix) :]} - {""}
