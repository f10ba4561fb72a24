"""`--to-compat-v1`: the imports of TensorFlow 1 as tensorflow.compat.v1 and tf_slim."""

from __future__ import annotations

import collections

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.gradient_chains import Refusal, Refused
from tf1_wd.commands.patch.rewrite import (
    imports_tensorflow,
    insert_after_tensorflow,
    insert_before_tensorflow,
)
from tf1_wd.commands.patch.syntax import code, dotted, imports
from tf1_wd.commands.patch.training_calls import find_units

# names of tf.contrib.slim, tf.contrib.layers and tf.contrib.framework that tf_slim 1.1.0 has at its top
_NAMES = """
avg_pool2d avg_pool3d batch_norm bias_add conv1d conv2d conv3d conv2d_in_plane conv2d_transpose conv3d_transpose
convolution convolution1d convolution2d convolution2d_in_plane convolution2d_transpose convolution3d
convolution3d_transpose dense_to_sparse dropout elu flatten fully_connected GDN gdn images_to_sequence instance_norm
group_norm layer_norm linear pool max_pool2d max_pool3d one_hot_encoding relu relu6 repeat scale_gradient
separable_conv2d separable_convolution2d sequence_to_images softmax spatial_softmax stack unit_norm maxout
l1_regularizer l2_regularizer l1_l2_regularizer sum_regularizer apply_regularization optimize_loss
adaptive_clipping_fn xavier_initializer xavier_initializer_conv2d variance_scaling_initializer summarize_tensor
summarize_activation summarize_tensors summarize_collection arg_scope add_arg_scope current_arg_scope has_arg_scope
arg_scoped_arguments add_model_variable assert_global_step assert_or_get_global_step assign_from_checkpoint
assign_from_checkpoint_fn assign_from_values assign_from_values_fn create_global_step filter_variables
get_global_step get_or_create_global_step get_local_variables get_model_variables get_trainable_variables
get_unique_variable get_variables_by_name get_variables_by_suffix get_variable_full_name get_variables_to_restore
get_variables global_variable local_variable model_variable variable VariableDeviceChooser
"""
MOVED = frozenset(_NAMES.split())
# the modules of tf.contrib of which some names are in tensorflow.compat.v1 itself: where, and which
_CORE = {
    "tensorflow.contrib.rnn": {
        "nn.rnn_cell": "BasicLSTMCell BasicRNNCell DropoutWrapper GRUCell LSTMCell LSTMStateTuple MultiRNNCell RNNCell "
        "ResidualWrapper DeviceWrapper",
        "nn": "static_rnn static_bidirectional_rnn static_state_saving_rnn",
    },
    "tensorflow.contrib.framework": {"train": "init_from_checkpoint list_variables load_checkpoint load_variable"},
}
CORE = {
    "%s.%s" % (old, name): "%s.%s" % (new, name)
    for old, moves in _CORE.items()
    for new, names in moves.items()
    for name in names.split()
}
_CONTRIB = "tensorflow.contrib"
_SLIM = "tensorflow.contrib.slim"
# modules whose moved names are all at the top of tf_slim
_FLAT = ("tensorflow.contrib.layers", "tensorflow.contrib.framework")
_NETS = ("tensorflow.contrib.slim.nets", "tensorflow.contrib.slim.python.slim.nets")
# names that plain TensorFlow 2 has not, or has of Keras 3, which does not train in graph mode -> what brings them back
# behind tf1_wd.legacy.install(); tf_slim's layers are made of them
_BROUGHT = {
    "tensorflow.layers": "tf-keras",
    "tensorflow.keras": "tf-keras",
    "tensorflow.nn.rnn_cell": "tf-keras",
    "tensorflow.feature_column": "tf-keras",
    "tensorflow.estimator": "tensorflow-estimator==2.15.0",
    "tf_slim": "tf-slim tf-keras",
}
_INSTALL = "tf1_wd.legacy.install()"
_BY_HAND = (
    "find its stand-in and edit it by hand, or leave the imports as they are and use `tf1-wd run`, which brings "
    "tf.contrib with it"
)


def to_compat_v1(module, original):
    """(module with its imports moved, notes). original: the file before any edit.

    Raises Refused for what has no move.
    """
    units, positions, original = find_units(original)
    refusals = [Refusal(positions[node].start.line, why, _BY_HAND) for node, why in _without_move(original)]
    if refusals:
        raise Refused(*refusals)
    rewrite = _Imports(module)
    changed = module.visit(rewrite)
    if rewrite.needs_tf_slim and not any(i.module == i.name == "tf_slim" for i in imports(changed)):
        changed = insert_after_tensorflow(changed, "import tf_slim")
    brought = _brought(changed) if changed is not module and _INSTALL not in changed.code else {}
    notes = []
    starts = m.findall(original, m.Comparison(left=m.Name("__name__"))) or units[0].runs or units[0].events
    if rewrite.moved_tensorflow and "disable_v2_behavior" not in changed.code:
        if starts:
            if not any(map(imports_tensorflow, changed.body)):  # functions do, and the call stands outside of them
                changed = insert_after_tensorflow(
                    changed, "import tensorflow.compat.v1 as %s" % rewrite.moved_tensorflow
                )
            changed = insert_after_tensorflow(changed, "%s.disable_v2_behavior()" % rewrite.moved_tensorflow)
        else:
            notes.append((1, "no program starts here: call tf.disable_v2_behavior() in the file where it does"))
    if brought:
        packages = " ".join(sorted({package for found in brought.values() for package in found.split()}))
        what = "%s, which plain TensorFlow 2 has not as it was (pip install %s)" % (", ".join(brought), packages)
        if starts:
            changed = insert_before_tensorflow(changed, ["import tf1_wd.legacy", _INSTALL])
            notes.append((1, "%s brings %s" % (_INSTALL, what)))
        else:
            told = (
                "no program starts here: where it does, before TensorFlow is imported, %s is to be called: it brings %s"
            )
            notes.append((1, told % (_INSTALL, what)))
    return changed, notes


def _brought(module):
    """{name of the file's: packages} of what it takes from TensorFlow that _BROUGHT has."""
    names = _Names(module)
    used = {names.full(node) for node in m.findall(module, m.Attribute())}
    for found in imports(module):
        root = found.module.replace("tensorflow.compat.v1", "tensorflow")
        used.add(root if found.original is None else "%s.%s" % (root, found.original))
    return {
        name.replace("tensorflow", "tf"): packages
        for name, packages in _BROUGHT.items()
        if any(full == name or full.startswith(name + ".") for full in used)
    }


class _Names:
    """What a file calls TensorFlow, and which attributes it reads from each name."""

    def __init__(self, module):
        modules = ("tensorflow", "tensorflow.compat.v1")
        self._aliases = {i.name for i in imports(module) if i.original is None and i.module in modules}
        self._uses = collections.defaultdict(set)
        for node in m.findall(module, m.Attribute(value=m.Name())):
            self._uses[node.value.value].add(node.attr.value)

    def full(self, node):
        """`tf.contrib.slim` as `tensorflow.contrib.slim`; "" for what is no name of TensorFlow."""
        head, _, rest = (dotted(node) or "").partition(".")
        return "tensorflow.%s" % rest if head in self._aliases and rest else ""

    def is_movable(self, full, name):
        """Whether module `full`, known in the file as `name`, can become tf_slim."""
        if full == _SLIM:
            return "nets" not in self._uses[name]
        return full in _FLAT and self._uses[name] <= MOVED

    def moved(self, found):
        """The import that replaces one name of `from module import ...`, as text; None where there is none."""
        full, original, name = found.module, found.original, found.name
        tail = "" if original == name else " as %s" % name
        if full == "tensorflow" and original not in ("contrib", "*"):
            return "from tensorflow.compat.v1 import %s%s" % (original, tail)
        if full == "tensorflow.contrib" and self.is_movable("%s.%s" % (full, original), name):
            return "import tf_slim as %s" % name
        if full in (*_FLAT, _SLIM) and original in MOVED:
            return "from tf_slim import %s%s" % (original, tail)
        if full in _NETS and original != "*":
            return "from tf_slim.nets import %s%s" % (original, tail)
        return None


def _without_move(module):
    """(node, why) of every use of tf.contrib that has no move."""
    names = _Names(module)
    for found in imports(module):
        if found.original is None:
            has_move = found.name != "tensorflow" and names.is_movable(found.module, found.name)
        else:
            has_move = names.moved(found) is not None
        is_contrib = (found.module, found.original) == ("tensorflow", "contrib")
        if not has_move and (is_contrib or found.module.startswith(_CONTRIB)):
            yield found.statement, "`%s` has no move" % code(found.statement)
    attributes = m.findall(module, m.Attribute())
    targets = {id(assign.value): _target(assign) for assign in m.findall(module, m.Assign())}
    outer = {id(node.value): node for node in attributes}
    for node in attributes:
        full, above, target = names.full(node), outer.get(id(node)), targets.get(id(node))
        if not full.startswith(_CONTRIB) or full.count(".") != 2:
            continue
        if not (names.is_movable(full, target) if target else _has_attribute(full, above and above.attr.value)):
            nets = "`slim.nets` is to be imported by itself: import tf_slim.nets"
            yield node, nets if target and full == _SLIM else "`%s` has no move" % code(above or node)


def _has_attribute(full, name):
    """Whether `full.name` has a move; `full` itself for a name of None."""
    if full == _SLIM:
        return name != "nets"
    return (full in _FLAT and name in MOVED) or "%s.%s" % (full, name) in CORE


def _target(assign):
    return dotted(assign.targets[0].target) if len(assign.targets) == 1 else None


class _Imports(cst.CSTTransformer):
    def __init__(self, module):
        self._names = _Names(module)
        self.needs_tf_slim = False
        self.moved_tensorflow = None  # the name that stands for it

    def visit_ImportFrom(self, node):
        return False

    def leave_ImportAlias(self, original_node, updated_node):
        full, name = original_node.evaluated_name, original_node.evaluated_alias
        if full == "tensorflow":
            self.moved_tensorflow = name or full
            moved = "import tensorflow.compat.v1 as %s" % self.moved_tensorflow
        elif full.startswith(_CONTRIB):
            moved = "import tf_slim as %s" % name
        else:
            return updated_node
        return cst.parse_statement(moved).body[0].names[0].with_changes(comma=updated_node.comma)

    def leave_SimpleStatementLine(self, original_node, updated_node):
        small = original_node.body[0]
        if len(original_node.body) != 1:
            return updated_node
        if isinstance(small, cst.ImportFrom):
            return self._moved(original_node, updated_node)
        if isinstance(small, cst.Assign):
            full, name = self._names.full(small.value), _target(small)
            if full in (_SLIM, *_FLAT) and name and "." not in name:
                return updated_node.with_changes(body=cst.parse_statement("import tf_slim as %s" % name).body)
        return updated_node

    def _moved(self, original, line):
        """A line with `from ... import ...`, as one import for each module that its names have moved to."""
        names: dict = {}
        for moved in map(self._names.moved, imports(original)):
            if moved is None:
                return line
            head, _, name = moved.partition(" import ")
            names.setdefault(head, []).append(name)
        texts = [" import ".join(filter(None, (head, ", ".join(found)))) for head, found in names.items()]
        first, *others = map(cst.parse_statement, texts)
        return cst.FlattenSentinel([line.with_changes(body=first.body), *others])

    def leave_Attribute(self, original_node, updated_node):
        full = self._names.full(original_node)
        module, _, name = full.rpartition(".")
        if full == _SLIM:
            self.needs_tf_slim = True
            return cst.Name("tf_slim", lpar=updated_node.lpar, rpar=updated_node.rpar)
        if module in _FLAT and name in MOVED:
            self.needs_tf_slim = True
            return updated_node.with_changes(value=cst.Name("tf_slim"))
        if full in CORE:
            return cst.parse_expression("%s.%s" % (dotted(original_node).split(".")[0], CORE[full]))
        return updated_node
