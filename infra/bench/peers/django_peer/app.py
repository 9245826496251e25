"""Django on Lambda: its own password reset behind ASGI, Mangum."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.asgi import get_asgi_application  # noqa: E402
from mangum import Mangum  # noqa: E402

handler = Mangum(get_asgi_application(), lifespan="off")

# In the init phase rather than in the first request.
import views  # noqa: E402, F401
