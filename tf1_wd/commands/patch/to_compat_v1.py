"""`--to-compat-v1`: the imports of TensorFlow 1 as tensorflow.compat.v1 and tf_slim."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.gradient_chains import Refusal
from tf1_wd.commands.patch.rewrite import imports_tensorflow
from tf1_wd.commands.patch.syntax import code, dotted, simple_parts
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
_SLIM = "tensorflow.contrib.slim"
# modules whose moved names are all at the top of tf_slim
_FLAT = ("tensorflow.contrib.layers", "tensorflow.contrib.framework")
_NETS = ("tensorflow.contrib.slim.nets", "tensorflow.contrib.slim.python.slim.nets")
_BY_HAND = (
    "find its stand-in and edit it by hand, or leave the imports as they are and use `tf1-wd run`, which brings "
    "tf.contrib with it"
)


def to_compat_v1(module, positions, original):
    """(module with its imports moved, notes, refusals).

    positions: of the nodes of `original`, the file before any edit, in which what has no move is looked for.
    """
    refusals = [Refusal(positions[node].start.line, why, _BY_HAND) for node, why in _without_move(original)]
    if refusals:
        return module, [], refusals
    rewrite = _Imports(_aliases(module), _uses(module))
    changed = module.visit(rewrite)
    if rewrite.needs_tf_slim and not _has_import(changed, "tf_slim"):
        changed = _insert(changed, "import tf_slim", imports_tensorflow)
    notes = []
    if rewrite.moved_tensorflow and "disable_v2_behavior" not in changed.code:
        if _starts_program(original):
            changed = _insert(changed, "%s.disable_v2_behavior()" % rewrite.moved_tensorflow, imports_tensorflow)
        else:
            notes.append((1, "no program starts here: call tf.disable_v2_behavior() in the file where it does"))
    return changed, notes, []


def _aliases(module):
    """The names that stand for tensorflow."""
    found = set()
    for _, small in simple_parts(module, cst.Import):
        for alias in small.names:
            if dotted(alias.name) in ("tensorflow", "tensorflow.compat.v1"):
                found.add(alias.asname.name.value if alias.asname else dotted(alias.name).split(".")[0])
    return found


def _uses(module):
    """name -> attributes read from it."""
    found: dict = {}
    for node in m.findall(module, m.Attribute(value=m.Name())):
        found.setdefault(node.value.value, set()).add(node.attr.value)
    return found


def _full(text, aliases):
    """`tf.contrib.slim` as `tensorflow.contrib.slim`; None for what is no name of TensorFlow."""
    head, _, rest = (text or "").partition(".")
    return "tensorflow.%s" % rest if head in aliases and rest else None


def _is_movable(full, name, uses):
    """Whether module `full`, known in the file as `name`, can become tf_slim."""
    if full == _SLIM:
        return "nets" not in uses.get(name, ())
    return full in _FLAT and uses.get(name, set()) <= MOVED


def _without_move(module):
    """(node, why) of every use of tf.contrib that has no move."""
    aliases, uses = _aliases(module), _uses(module)
    for _, small in simple_parts(module, cst.Import):
        for alias in small.names:
            full = dotted(alias.name) or ""
            asname = alias.asname.name.value if alias.asname else None
            if full.startswith("tensorflow.contrib") and not (asname and _is_movable(full, asname, uses)):
                yield small, "`%s` has no move" % code(small)
    for _, small in simple_parts(module, cst.ImportFrom):
        full = dotted(small.module) if small.module is not None and not small.relative else ""
        names = [] if isinstance(small.names, cst.ImportStar) else small.names
        for alias in names or [None]:
            if _from_move(full, alias, uses) is None and (
                (full or "").startswith("tensorflow.contrib")
                or (full == "tensorflow" and alias is not None and alias.name.value == "contrib")
            ):
                yield small, "`%s` has no move" % code(small)
    assigned = {id(a.value): a for a in m.findall(module, m.Assign())}
    parents = {id(n.value): n for n in m.findall(module, m.Attribute())}
    for node in m.findall(module, m.Attribute()):
        full = _full(dotted(node), aliases)
        if full is None or not full.startswith("tensorflow.contrib") or full.count(".") != 2:
            continue
        above = parents.get(id(node))
        name = above.attr.value if above is not None else None
        if full == _SLIM and name != "nets":
            if name is None and id(node) in assigned and "nets" in uses.get(_target(assigned[id(node)]), ()):
                yield node, "`slim.nets` is to be imported by itself: import tf_slim.nets"
            continue
        if (full in _FLAT and name in MOVED) or "%s.%s" % (full, name) in CORE:
            continue
        if id(node) in assigned and _is_movable(full, _target(assigned[id(node)]), uses):
            continue
        yield node, "`%s` has no move" % (code(above) if above is not None else code(node))


def _target(assign):
    return dotted(assign.targets[0].target) if len(assign.targets) == 1 else None


def _from_move(full, alias, uses):
    """The import that replaces `from full import alias`, as text; None where there is none."""
    if alias is None or not isinstance(alias.name, cst.Name):
        return None
    name = alias.name.value
    asname = alias.asname.name.value if alias.asname else name
    tail = "" if asname == name else " as %s" % asname
    if full == "tensorflow" and name != "contrib":
        return "from tensorflow.compat.v1 import %s%s" % (name, tail)
    if full == "tensorflow.contrib" and _is_movable("tensorflow.contrib.%s" % name, asname, uses):
        return "import tf_slim as %s" % asname
    if full in (*_FLAT, _SLIM) and name in MOVED:
        return "from tf_slim import %s%s" % (name, tail)
    if full in _NETS:
        return "from tf_slim.nets import %s%s" % (name, tail)
    return None


class _Imports(cst.CSTTransformer):
    def __init__(self, aliases, uses):
        self._aliases, self._uses = aliases, uses
        self.needs_tf_slim = False
        self.moved_tensorflow = None  # the name that stands for it

    def visit_ImportFrom(self, node):
        return False

    def leave_ImportAlias(self, original_node, updated_node):
        full = dotted(original_node.name)
        asname = original_node.asname.name.value if original_node.asname else None
        if full == "tensorflow":
            self.moved_tensorflow = asname or "tensorflow"
            return _alias("tensorflow.compat.v1", self.moved_tensorflow, updated_node)
        if full and full.startswith("tensorflow.contrib"):
            return _alias("tf_slim", asname, updated_node)
        return updated_node

    def leave_SimpleStatementLine(self, original_node, updated_node):
        small = original_node.body[0]
        if len(original_node.body) != 1:
            return updated_node
        if isinstance(small, cst.ImportFrom) and not isinstance(small.names, cst.ImportStar) and not small.relative:
            return self._from(small, updated_node)
        if isinstance(small, cst.Assign):
            full, name = _full(dotted(small.value), self._aliases), _target(small)
            if full in (_SLIM, *_FLAT) and name and "." not in name:
                return updated_node.with_changes(body=cst.parse_statement("import tf_slim as %s" % name).body)
        return updated_node

    def _from(self, small, line):
        full = dotted(small.module)
        if full is None or (full != "tensorflow" and not full.startswith("tensorflow.contrib")):
            return line
        texts = [_from_move(full, alias, self._uses) for alias in small.names]
        merged: dict = {}
        for text in texts:
            head, _, name = text.partition(" import ")
            merged.setdefault(head if name else text, []).append(name)
        lines = [h + (" import " + ", ".join(names) if names[0] else "") for h, names in merged.items()]
        first, *others = [cst.parse_statement(text) for text in lines]
        return cst.FlattenSentinel([line.with_changes(body=first.body), *others])

    def leave_Attribute(self, original_node, updated_node):
        full = _full(dotted(original_node), self._aliases)
        if full == _SLIM:
            self.needs_tf_slim = True
            return cst.Name("tf_slim", lpar=updated_node.lpar, rpar=updated_node.rpar)
        if full and full.rpartition(".")[0] in _FLAT and original_node.attr.value in MOVED:
            self.needs_tf_slim = True
            return updated_node.with_changes(value=cst.Name("tf_slim"))
        if full in CORE:
            root = dotted(original_node).split(".")[0]
            return cst.parse_expression("%s.%s" % (root, CORE[full]))
        return updated_node


def _alias(module, asname, old):
    new = cst.ensure_type(cst.parse_statement("import %s as %s" % (module, asname)), cst.SimpleStatementLine)
    return new.body[0].names[0].with_changes(comma=old.comma)


def _has_import(module, name):
    return any(
        dotted(alias.name) == name and alias.asname is None
        for _, small in simple_parts(module, cst.Import)
        for alias in small.names
    )


def _insert(module, text, follows):
    """The module with a statement behind the first one that `follows` accepts."""
    for i, statement in enumerate(module.body):
        if follows(statement):
            body = [*module.body[: i + 1], cst.parse_statement(text), *module.body[i + 1 :]]
            return module.with_changes(body=body)
    return module


def _starts_program(module):
    """Whether the file is one that python is started with: a __main__ guard, or training in the module itself."""
    top = find_units(module)[0][0]
    guard = m.findall(module, m.Comparison(left=m.Name("__name__")))
    return bool(guard or top.runs or top.events)
