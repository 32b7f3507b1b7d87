"""A node that was there before us: cortensord as its operator installed it. The five shapes: facts D and I, operators 2.2."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from cortops.environment.section import Name, Owned

Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$", examples=["0x" + "0" * 39 + "1"])]
HostPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/@+-]{1,500}$")]
CORTENSORD = "cortensord"
CortensordRole = Literal["router", "miner", "oracle", "validator", "pool-oracle", "quality-oracle"]
CORTENSORD_ROLES: tuple[str, ...] = get_args(CortensordRole)


class CortensordNode(Owned):
    """A node that runs cortensord, the network's own program, as its operator installed it. `cortops discover` writes these."""

    program: Literal["cortensord"] = Field(description="`cortensord`: the network's own program, not ours.")
    role: CortensordRole = Field(description="What it is.")
    runs: str = Field(pattern=r"^[a-z]+(v[0-9]{1,2})?$", description="The role as on its command line.", examples=["minerv4"])
    host: Name = Field(description="The host that it runs on.", examples=["h1"])
    shape: Literal["systemd", "nohup", "ansible", "salt", "docker"] = Field(description="How it was installed.")
    instance: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,31}$", description="Which of several on its host.", examples=["7"])
    unit: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9@._:-]{0,128}$",
        description="Its systemd unit, or its container; none where it is kept by a pid file.",
        examples=["cortensor-7.service"],
    )
    env_file: HostPath = Field(
        description="Its env file; cortops reads public values of it, never a key.", examples=["/home/deploy/.cortensor/.env"]
    )
    log: str = Field(
        pattern=r"^(/[A-Za-z0-9._/@+-]{1,500}|docker:[A-Za-z0-9._-]{1,128})$",
        description="Its log file, or `docker:CONTAINER`.",
        examples=["/var/log/cortensord.log"],
    )
    binary: HostPath = Field(description="The program's file.", examples=["/usr/local/bin/cortensord"])
    address: Address | None = Field(default=None, description="Its public address; none where its env file has none.")
    release: Name | None = Field(
        default=None, description="The build that it should run, of `releases`. Without it the node is looked at only.", examples=["april"]
    )
