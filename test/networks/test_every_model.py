"""One class of checks, run over every registered model and every option of DeMT."""

import copy

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
import torch

from demt_perception.networks import create_head, create_model, fuse, list_models
from demt_perception.networks.backbones import create_backbone
from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.task_sets import TASK_SETS

FOUR = {'semseg': 5, 'depth': 1, 'normals': 3, 'edge': 1}
FIVE = {'semseg': 5, 'human_parts': 4, 'sal': 2, 'normals': 3, 'edge': 1}
DEMT = {'dim': 16, 'hidden': 8}
# What gets no gradient, and why.
PUBLISHED = ('interaction.query.', 'interaction.key.')  # softmax over one image: spec 1.4
KEY_BIAS = ('key.bias',)  # shifts all scores of a query alike: no softmax sees it

CASES = {
    'demt': ('demt', FOUR, DEMT, PUBLISHED + KEY_BIAS),
    'demt first release': ('demt', FOUR, {**DEMT, 'mixer': 'first_release'}, PUBLISHED + KEY_BIAS),
    'demt depth 2, 5 tasks': ('demt', FIVE, {**DEMT, 'depth': 2}, PUBLISHED + KEY_BIAS),
    'demt linear': ('demt', FOUR, {**DEMT, 'interaction': 'linear'}, KEY_BIAS),
    'demt spatial': ('demt', FOUR, {**DEMT, 'interaction': 'spatial'}, KEY_BIAS),
    'demt windows': ('demt', FOUR, {**DEMT, 'interaction': 'spatial',
                                    'interaction_options': {'window': 4}}, KEY_BIAS),
    'demt deformable': ('demt', FOUR, {**DEMT, 'interaction': 'deformable'}, KEY_BIAS),
    'demt without interaction': ('demt', FOUR, {**DEMT, 'interaction': 'none'}, KEY_BIAS),
    'demt without query': ('demt', FOUR, {**DEMT, 'query': False}, PUBLISHED),
    # Without mixers all tasks have the same features: the query has nothing to tell apart.
    'demt without mixer': ('demt', FOUR, {**DEMT, 'mixer': 'none'}, (
        *PUBLISHED, '.query.weight', '.query.bias', '.key.weight', *KEY_BIAS)),
    'demt fpn': ('demt', FOUR, {**DEMT, 'aggregation': 'fpn'}, PUBLISHED + KEY_BIAS),
    'demt bifpn': ('demt', FOUR, {**DEMT, 'aggregation': 'bifpn'}, PUBLISHED + KEY_BIAS),
    'demtg': ('demtg', FOUR, DEMT, PUBLISHED + KEY_BIAS),
    'mti_net': ('mti_net', FOUR, {}, ()),
    'mti_net as in the paper': ('mti_net', FOUR, {'fpm_softmax': 'task'}, ()),
    'mti_net auxiliary': ('mti_net', {'semseg': 5, 'depth': 1}, {'auxiliary': FOUR}, ()),
    'pad_net': ('pad_net', {'semseg': 5, 'depth': 1}, {}, ()),
    'single_task': ('single_task', {'depth': 1}, {}, ()),
    'multi_task': ('multi_task', FOUR, {}, ()),
    'multi_task fcn': ('multi_task', FOUR, {'style': 'fcn'}, ()),
    'multi_task aspp': ('multi_task', FOUR, {'style': 'aspp'}, ()),
    'demt_light': ('demt_light', FOUR, {'dim': 16, 'hidden': 8}, KEY_BIAS),
}

# An export with free sizes takes ten times as long; `demt export` checks its own at a second size.
FREE_SIZES = ('demt depth 2, 5 tasks',)


def flat(out, prefix=''):
    """Yield (name, tensor) of nested outputs."""
    for name, value in out.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def assert_equal_outputs(seen, wanted, relative=1e-4):
    for name, value in flat(wanted):
        other = dict(flat(seen))[name]
        error = float((other - value).abs().max() / value.abs().max())
        assert error <= relative, f'{name} differs by {error:.1e}'


@pytest.fixture(scope='module', params=list(CASES))
def case(request, randomised):
    name, tasks, options, dead = CASES[request.param]
    return request.param, randomised(build(request.param)), tasks, dead


def build(case):
    """Create the model of a case, on a small backbone of the kind it is meant for."""
    name, tasks, options, _ = CASES[case]
    backbone = HRNet(width=8)
    if options.get('style') == 'aspp':  # looks at the last map only
        backbone = create_backbone('resnet18', dilated=True)
    return create_model(name, backbone, tasks, **options)


class TestModel:
    """What holds for every network, whatever it is made of."""

    @pytest.mark.parametrize('size', [(64, 96), (65, 97), (70, 33)])
    def test_logits_have_the_size_of_the_image(self, case, size):
        _, model, tasks, _ = case
        with torch.no_grad():
            out = model(torch.randn(2, 3, *size))
        assert {t: tuple(v.shape) for t, v in out.items()} == {
            t: (2, c, *size) for t, c in tasks.items()}
        assert all(bool(v.isfinite().all()) for v in out.values())

    def test_every_parameter_learns(self, case):
        _, model, _, dead = case
        model.zero_grad()
        out = model(torch.randn(2, 3, 64, 96), auxiliary=True)
        sum((v.float() * torch.randn_like(v)).mean() for _, v in flat(out)).backward()
        without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert [n for n in without if not any(part in n for part in dead)] == []
        for part in set(dead) - set(KEY_BIAS):  # really dead: the list is not a licence
            assert any(part in n for n in without), f'{part} is said to be dead, but learns'

    def test_gradients_of_one_image_are_those_of_its_loss(self, case):
        """A layout that only a batch of one has can make BatchNorm's backward silently wrong."""
        model = copy.deepcopy(case[1]).double()
        image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
        weights, step = {}, 1e-9  # small: few ReLUs may switch on the way

        def loss():
            return sum((v * weights.setdefault(n, torch.randn_like(v))).mean()
                       for n, v in flat(model(image, auxiliary=True)))

        loss().backward()
        learned = [p for p in model.parameters() if p.grad is not None]
        directions = [torch.randn_like(p) * p.detach().abs().mean() for p in learned]
        wanted = sum(float((d * p.grad).sum()) for d, p in zip(directions, learned, strict=True))
        values = []
        with torch.no_grad():
            for length in (step, -2 * step):
                for p, d in zip(learned, directions, strict=True):
                    p.add_(d, alpha=length)
                values.append(float(loss()))
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(wanted, rel=0.02, abs=1e-4)

    def test_it_trains(self, case):
        name, _, tasks, _ = case
        model = build(name).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # its noise is greater than the progress of six steps
        optimizer = torch.optim.Adam(model.parameters(), 1e-4)
        image = torch.randn(2, 3, 64, 64)
        target = {t: torch.randn(2, c, 64, 64) for t, c in tasks.items()}
        losses = []
        for _ in range(6):
            out = model(image)
            loss = sum((out[t] - target[t]).square().mean() for t in tasks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]

    def test_images_of_a_batch_do_not_influence_each_other(self, case):
        model = copy.deepcopy(case[1]).double()  # kernels differ by batch size in float32
        images = torch.randn(3, 3, 64, 96, dtype=torch.float64)
        with torch.no_grad():
            together, alone = model(images), model(images[1:2])
        assert_equal_outputs({t: v[1:2] for t, v in together.items()}, alone, 1e-10)

    def test_weights_survive_saving(self, case, tmp_path):
        name, model, _, _ = case
        save_file(model.state_dict(), tmp_path / 'weights.safetensors')
        other = build(name).eval()
        other.load_state_dict(load_file(tmp_path / 'weights.safetensors'))
        image = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            assert_equal_outputs(other(image), model(image), 0)

    def test_the_fused_form_gives_the_same(self, case):
        _, model, _, _ = case
        with torch.no_grad():
            for fused in (fuse(model), fuse(model, (64, 96))):
                for size in ((64, 96), (65, 97)):
                    image = torch.randn(2, 3, *size)
                    assert_equal_outputs(fused(image), model(image))
        assert any(p.requires_grad for p in model.parameters()), 'fuse changed the model itself'
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.backbone.modules())

    @pytest.mark.parametrize('fused', [False, True])
    def test_onnx_runtime_gives_the_same(self, case, exported, fused):
        onnxruntime = pytest.importorskip('onnxruntime', reason='pip install onnxruntime')
        _, model, _, _ = case
        session = onnxruntime.InferenceSession(
            str(exported(fused)), providers=['CPUExecutionProvider'])
        for size in ((64, 96), (96, 64))[:2 if case[0] in FREE_SIZES else 1]:
            image = torch.randn(1, 3, *size)
            out = session.run(list(model.tasks), {'image': image.numpy()})
            with torch.no_grad():
                wanted = model(image)
            assert_equal_outputs({t: torch.from_numpy(np.array(v))
                                  for t, v in zip(model.tasks, out, strict=True)}, wanted)

    def test_tensorrt_builds_the_graph(self, case, exported):
        """NVIDIA's own parser and builder; only running the result would need a GPU."""
        trt = pytest.importorskip('tensorrt_rtx_bindings',
                                  reason='pip install tensorrt-rtx-cu13-libs '
                                  'tensorrt-rtx-cu13-bindings (x86-64 wheels of 95 MB)')
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(
            1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        assert parser.parse_from_file(str(exported(True))), [
            parser.get_error(i).desc() for i in range(parser.num_errors)]
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM86, 0)
        if case[0] in FREE_SIZES:
            profile = builder.create_optimization_profile()
            profile.set_shape('image', *[(1, 3, 64, 96)] * 3)
            config.add_optimization_profile(profile)
        assert builder.build_serialized_network(network, config) is not None


@pytest.fixture(scope='module')
def exported(case, tmp_path_factory):
    """Return a function that exports the case, plain or fused, once."""
    pytest.importorskip('onnxscript', reason='export needs onnxscript: pip install onnxscript')
    name, model, _, _ = case
    folder, done = tmp_path_factory.mktemp('onnx'), {}

    def export(fused):
        if not fused and name not in list_models():
            pytest.skip('options are exported in their fused form, which is what is deployed')
        if fused not in done:
            path = folder / f'{fused}.onnx'
            free = ({2: 32 * torch.export.Dim('height', min=2, max=64),
                     3: 32 * torch.export.Dim('width', min=2, max=64)},)
            torch.onnx.export(
                Positional(fuse(model) if fused else model).eval(), (torch.randn(1, 3, 64, 96),),
                str(path), dynamo=True, opset_version=20, input_names=['image'],
                output_names=list(model.tasks), external_data=False, verbose=False,
                dynamic_shapes=free if name in FREE_SIZES else None)
            done[fused] = path
        return done[fused]

    return export


class Positional(torch.nn.Module):
    """Outputs in order, as a graph has them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return tuple(self.model(image).values())


def test_every_model_is_checked():
    assert {name for name, _, _, _ in CASES.values()} == set(list_models())


def test_wrong_arguments_are_refused_with_the_right_ones():
    with pytest.raises(ValueError, match=r"'dmet' is unknown.*'demt'"):
        create_model('dmet', 'hrnet18', 'nyud')
    with pytest.raises(ValueError, match=r"'hrnet19' is unknown.*hrnet18"):
        create_model('demt', 'hrnet19', 'nyud')
    with pytest.raises(ValueError, match=r"task set 'kitti' is unknown.*nyud"):
        create_model('demt', 'hrnet18', 'kitti')
    with pytest.raises(ValueError, match='1 or more channels'):
        create_model('demt', 'hrnet18', {'depth': 0})
    with pytest.raises(TypeError, match='widht'):
        create_model('demt', 'hrnet18', 'nyud', widht=3)
    with pytest.raises(ValueError, match='no attribute `channels`'):
        create_model('demt', torch.nn.Identity(), 'nyud')
    for option, value in (('mixer', 'old'), ('interaction', 'global'), ('aggregation', 'sum')):
        with pytest.raises(ValueError, match=f"'{value}'.*want"):
            create_head('demt', (8, 16, 32, 64), 'nyud', **{option: value})
    with pytest.raises(ValueError, match='dim 16 is not divisible by heads 3'):
        create_head('demt', (8, 16, 32, 64), 'nyud', dim=16, heads=3)
    with pytest.raises(ValueError, match='dim 16, heads 0, hidden 8: want 1 or more'):
        create_head('demt', (8, 16, 32, 64), 'nyud', dim=16, heads=0, hidden=8)
    with pytest.raises(ValueError, match=r"'none' with options .*'window': 8"):
        create_head('demt', (8, 16, 32, 64), 'nyud', interaction='none',
                    interaction_options={'window': 8})
    with pytest.raises(ValueError, match='mapping of task to channels'):
        create_head('demt', (8, 16, 32, 64), ('semseg', 'depth'))
    with pytest.raises(ValueError, match='feature maps have channels'):
        create_head('demt', (8, 16, 32, 64), 'nyud', dim=16)([torch.zeros(1, 8, 4, 4)] * 4)
    with pytest.raises(ValueError, match='cannot be fused'):
        fuse(create_head('demt', (8, 16, 32, 64), 'nyud', dim=16, batch_attention=True))


def test_saliency_has_the_channels_of_its_paper():
    assert create_head('demt', (8, 16, 32, 64), 'pascal_context', dim=16).tasks['sal'] == 2
    assert create_head('mti_net', (8, 16, 32, 64), 'pascal_context').tasks['sal'] == 1
    assert TASK_SETS['pascal_context']['sal'] == 2, 'a model changed the table'


def test_heads_work_on_feature_maps_of_ones_own():
    head = create_head('demt', (8, 16, 32, 64), {'depth': 1}, dim=16).eval()
    maps = [torch.randn(1, c, 16 // s, 24 // s) for c, s in zip((8, 16, 32, 64), (1, 2, 4, 8),
                                                                strict=True)]
    with torch.no_grad():
        assert head(maps)['depth'].shape == (1, 1, 64, 96)
        assert head(maps, (61, 95))['depth'].shape == (1, 1, 61, 95)
        assert head.logits(maps)['depth'].shape == (1, 1, 16, 24)
