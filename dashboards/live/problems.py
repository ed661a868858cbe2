"""What went wrong, for programs and for people: application/problem+json (RFC 9457), one clear sentence each."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from contracts.errors import AffectstreamError, InputError, StorageError

MEDIA_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, after RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no camera 'door'",
            }
        }
    )

    type: str = Field("about:blank", description="always about:blank: the status says it all")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="one sentence: what is wrong, and what to do")


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response that tells of a problem."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(content.model_dump(), status, headers, MEDIA_TYPE)


def problems(details: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the problems that it may answer with, status -> what it means there."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": detail, "content": content} for status, detail in details.items()}


def explain_problems(app: FastAPI) -> None:
    """Makes every error of the app a problem, also those of the framework."""

    @app.exception_handler(ProblemError)
    async def ours(_: Request, error: ProblemError) -> JSONResponse:
        return problem(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        description = f"{request.scope.get('root_path', '')}/openapi.json"
        detail = {
            404: f"there is nothing at {request.url.path}; {description} lists what is",
            405: f"{request.method} cannot be done to {request.url.path}",
        }.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 405 and (allowed := _allowed(request)):
            headers["Allow"] = ", ".join(sorted(allowed))
        return problem(error.status_code, detail, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, "; ".join(map(_complaint, error.errors())))

    @app.exception_handler(AffectstreamError)
    async def failed(_: Request, error: AffectstreamError) -> JSONResponse:
        status = 503 if isinstance(error, StorageError) else 422 if isinstance(error, InputError) else 500
        return problem(status, str(error))

    @app.exception_handler(Exception)
    async def fault(_: Request, __: Exception) -> JSONResponse:
        return internal_problem()  # the error goes on to the guard, who logs it


def internal_problem() -> JSONResponse:
    """For a fault of ours, of which nothing is told to the outside."""
    return problem(500, "affectstream has a fault here; its log says more")


def _allowed(request: Request) -> set[str]:
    """What can be done to this path. The framework names the methods of one route only, where there are several."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    described = request.app.openapi()["paths"]
    matching = (operations for template, operations in described.items() if compile_path(template)[0].match(path))
    return {method.upper() for operations in matching for method in operations}


def _complaint(error: dict[str, Any]) -> str:
    """One line for one wrong value, without the value: it may hold a password."""
    if error["type"] == "extra_forbidden":
        return f"there is no parameter {error['loc'][-1]!r} here"
    where = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
