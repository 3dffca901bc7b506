"""The settings of DermAI, all of them, read from the environment.

The defaults run the embedded mode of `make run`: SQLite, a private Redis on a Unix socket, files
under `DERMAI_HOME`. With `DERMAI_MODE=production` no secret has a default. Any variable can come
from a file: `SECRET_KEY_FILE=/run/secrets/key` stands for `SECRET_KEY`.

Each module has one subject; Django reads them from here.
"""

# ruff: noqa: F403 - passing every setting on is all that this file does

from dermai.settings.analysis import *
from dermai.settings.api import *
from dermai.settings.keys import *
from dermai.settings.logs import *
from dermai.settings.mail import *
from dermai.settings.mode import *
from dermai.settings.oidc import *
from dermai.settings.security import *
from dermai.settings.signin import *
from dermai.settings.storage import *
from dermai.settings.tasks import *
from dermai.settings.web import *
