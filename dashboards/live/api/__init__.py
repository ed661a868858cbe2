"""The REST API: what is stored and what happens now, for programs. One file for each resource.

Routes that read the database are plain functions: FastAPI runs them in its threads, not on the event loop.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI, Security
from fastapi.security import HTTPBearer

from contracts.settings import Settings
from dashboards.live.api import cameras, episodes, events, health, now, people, pictures, runs, windows
from dashboards.live.api.common import Given, no_strange_parameters
from dashboards.live.problems import Problem, explain_problems, problems
from storage.store import Store

if TYPE_CHECKING:
    from dashboards.live.hub import Hub

PATH: Final = "/api/v1"
DESCRIPTION: Final = """\
Emotion and stress statistics of cameras and people, as they are stored and as they are now.

Times are ISO 8601 in UTC. Lists come in pages: follow `next` until it is null. What goes wrong is told as
`application/problem+json` (RFC 9457), in one sentence.
"""
EVERYWHERE: Final = problems(
    {
        400: "the request cannot be read",
        403: "the request comes from a page of another site",
        421: "without a token, the server answers to localhost only",
        422: "a parameter cannot be so; the sentence names it",
        503: "the database cannot be used now",
    }
)
WITH_TOKEN: Final = problems({401: "the token is missing or wrong"})


def make_api(hub: "Hub | None", store: Store, settings: Settings) -> FastAPI:
    """The API as an app of its own, to be mounted at PATH: so all of its errors are its own, too."""
    token = settings.live.token is not None
    api = FastAPI(
        title="affectstream",
        version=version("affectstream"),
        description=DESCRIPTION,
        servers=[{"url": PATH}],
        root_path_in_servers=False,
        docs_url=None,  # its page would come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=EVERYWHERE | (WITH_TOKEN if token else {}),
        # Says in the description what the guard demands.
        dependencies=[
            *([Security(HTTPBearer(auto_error=False))] if token else []),
            Depends(no_strange_parameters),
        ],
    )
    api.state.given = Given(hub, store, settings)
    for resource in (now, cameras, pictures, people, windows, episodes, runs, events, health):
        api.include_router(resource.router)
    explain_problems(api)
    _describe_problems(api)
    return api


def _describe_problems(api: FastAPI) -> None:
    """Puts the schema that `problems` refers to into the description."""
    made = api.openapi

    def openapi() -> dict[str, Any]:
        description = made()
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        schemas[Problem.__name__] = Problem.model_json_schema()
        return description

    api.openapi = openapi  # type: ignore[method-assign]
