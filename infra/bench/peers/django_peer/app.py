"""Django on Lambda: its own password reset, behind ASGI and Mangum."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.asgi import get_asgi_application  # noqa: E402
from mangum import Mangum  # noqa: E402

handler = Mangum(get_asgi_application(), lifespan="off")

# Import the views in the init phase, not in the first request.
import views  # noqa: E402, F401
