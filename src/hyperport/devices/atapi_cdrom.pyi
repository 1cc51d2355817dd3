# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.devices.ide_drive import IdeDrive

class AtapiCdrom(IdeDrive): ...
