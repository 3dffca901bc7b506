"""Each rule of deploy/semgrep/rules.yaml finds what it is for, and leaves its neighbour alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "semgrep"
CLINICAL = "analyses/views"

# rule → where the code would stand, what has to be found, what must not be
EXAMPLES: dict[str, tuple[str, list[str], list[str]]] = {
    "markup-by-hand": (
        "accounts/x.py",
        [
            "x = mark_safe(text)",
            "x = SafeString(text)",
            "from django.utils.safestring import mark_safe",
        ],
        ["x = format_html('<b>{}</b>', text)", "def f() -> SafeString: ..."],
    ),
    "unescaped-template": (
        "templates/x.html",
        [
            "{% autoescape off %}{{ note }}{% endautoescape %}",
            "{{ note|safe }}",
            "{{ a | safeseq }}",
        ],
        ["{{ note|linebreaksbr }}", "{{ note }} is safe"],
    ),
    "inline-script-or-style": (
        "templates/x.html",
        [
            "<script>go()</script>",
            "<style>p {}</style>",
            "<p style='color: red'>",
            "<a onclick='go()'>",
            "<a href='javascript:go()'>",
        ],
        ["<script type='module' src='x.js'></script>", "<p class='style'>on = off</p>"],
    ),
    "csrf-off": (
        "analyses/x.py",
        ["@csrf_exempt\ndef view(request): ...", "f = decorators.csrf_exempt(view)"],
        ["@csrf_protect\ndef view(request): ..."],
    ),
    "pickle": (
        "inference_worker/x.py",
        [
            "import pickle",
            "from pickle import loads",
            "import joblib",
            "import torch\nx = torch.load(path)",
            "import numpy as np\nx = np.load(path, allow_pickle=True)",
            "import yaml\nx = yaml.load(text)",
        ],
        ["import json", "x = load_file(path)", "x = np.load(path, allow_pickle=False)"],
    ),
    "shell": (
        "dermai/x.py",
        [
            "subprocess.run(command, shell=True)",
            "import os\nos.system(command)",
            "x = eval(text)",
            "exec(text)",
        ],
        ["subprocess.run(['ls'], check=True)", "model.eval()"],
    ),
    "not-through-visible-to": (
        f"{CLINICAL}/x.py",
        [
            "a = Analysis.objects.get(pk=pk)",
            "a = Analysis.objects.filter(lesion=lesion)",
            "a = Lesion.objects.all()",
            "r = Review.objects.filter(author=user)",
            "a = get_object_or_404(Analysis, pk=pk)",
            "a = Analysis._base_manager.get(pk=pk)",
        ],
        [
            "a = Analysis.objects.visible_to(user).filter(pk=pk)",
            "a = Analysis.objects.filter(pk=pk, owner=user)",
            "a = get_object_or_404(Lesion, pk=pk, owner=user)",
            "a = get_object_or_404(found, pk=pk)",
            "q = Lesion.objects.none()",
            "u = User.objects.get(pk=pk)",
        ],
    ),
    "content-in-a-log": (
        "analyses/x.py",
        [
            "logger.info('done: %s', analysis.result.category)",
            "logger.warning(f'p = {result.p_melanoma}')",
            "logger.info('mail to %s', user.email)",
            "logger.info('hello %s', analysis.owner.name)",
            "logger.debug('sent %s', request.POST)",
            "logger.info('opened %s', request.path)",
        ],
        [
            "logger.info('analysis %s ended', analysis.pk)",
            "logger.warning('waits: %s', type(error).__name__)",
            "logger.info('%s is near a decision', rung.name)",
        ],
    ),
    "a-whole-row-in-an-answer": (
        "analyses/api/x.py",
        [
            "class S:\n    class Meta:\n        model = User\n        fields = '__all__'",
            "class S:\n    class Meta:\n        model = User\n        exclude = ['password']",
            "a = JsonResponse(model_to_dict(user))",
            "a = Response(user.__dict__)",
            "a = JsonResponse({'users': list(User.objects.values())})",
        ],
        [
            "class S:\n    class Meta:\n        model = User\n        fields = ['email']",
            "a = JsonResponse({'status': 'ok'})",
            "a = JsonResponse({'users': list(users.values('name'))})",
        ],
    ),
    "a-request-as-fields": (
        "analyses/x.py",
        [
            "Lesion(**request.POST.dict())",
            "Lesion.objects.create(owner=user, **request.data)",
            "q.filter(**request.GET.dict())",
            "setattr(user, name, value)",
        ],
        ["Lesion(**form.cleaned_data)", "setup(**options)"],
    ),
    "sql-by-hand": (
        "accounts/x.py",
        [
            "User.objects.raw('select 1')",
            "cursor.execute(f'select {name}')",
            "cursor.execute('select %s' % name)",
            "x = RawSQL(text, [])",
        ],
        ["cursor.execute('SELECT 1')", "cursor.execute('select %s', [name])"],
    ),
    "sent-where-the-request-says": (
        "accounts/x.py",
        [
            "redirect(request.GET['next'])",
            "redirect(request.POST.get('next', '/'))",
            "HttpResponseRedirect(request.GET.get('to'))",
        ],
        ["redirect('home')", "redirect(get_next_redirect_url(request) or '/')"],
    ),
    "a-task-without-limits": (
        "accounts/x.py",
        [
            "@shared_task(name='x')\ndef x(): ...",
            "@shared_task(name='y', time_limit=5)\ndef y(): ...",
        ],
        ["@shared_task(name='z', soft_time_limit=4, time_limit=5)\ndef z(): ..."],
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Return the rules and the files in which they found something, of all examples at once."""
    home = tmp_path_factory.mktemp("examples")
    for rule, (place, wrong, right) in EXAMPLES.items():
        for kind, snippets in (("wrong", wrong), ("right", right)):
            for n, snippet in enumerate(snippets):
                path = home / example(rule, place, kind, n)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{snippet}\n")
    folders = sorted(folder.name for folder in home.iterdir())
    ran = subprocess.run(
        [FOLDER / "run", "--json", *folders], cwd=home, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1, f"{ran.stderr}\nWithout semgrep: make dev"
    said = json.loads(ran.stdout)
    assert said["errors"] == []
    return {(one["check_id"].rpartition(".")[2], one["path"]) for one in said["results"]}


def example(rule: str, place: str, kind: str, n: int) -> str:
    path = Path(place)
    return str(path.with_name(f"{rule}_{kind}_{n}{path.suffix}"))


def test_every_rule_has_its_examples() -> None:
    rules = yaml.safe_load((FOLDER / "rules.yaml").read_text())["rules"]
    assert {rule["id"] for rule in rules} == set(EXAMPLES)


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_finds_each_wrong_line_and_no_right_one(
    rule: str, found: set[tuple[str, str]]
) -> None:
    place, wrong, right = EXAMPLES[rule]
    missed = [
        s for n, s in enumerate(wrong) if (rule, example(rule, place, "wrong", n)) not in found
    ]
    assert missed == []
    accused = [s for n, s in enumerate(right) if (rule, example(rule, place, "right", n)) in found]
    assert accused == []
