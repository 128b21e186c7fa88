/* What a data file says of itself beyond its batches, for who has nothing but the files. */
#ifndef STREAMS_AGENT_FILE_FOOTER_H
#define STREAMS_AGENT_FILE_FOOTER_H

#include "cells/cell.h"
#include "wire/streams/data_file.h"

/* Name the topics of an arranged file and, of entries whose base offset is -1, tell the high
 * watermark of their partition, as far as `cell` knows; NULL: nothing is known. */
void file_footer_tell(struct cell *cell, struct data_file_writer *w);

#endif
