/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML with libyaml's parser, event by event, so that what isn't allowed
 * is refused where it begins and nothing is built of it. Pure; called by the
 * reader of locker files and by a fuzzer, once a text.
 *
 * The invariant: what one event may cause is bounded. An alias is never
 * followed, a list grows to DP_YAML_ITEMS_MAX, a tree to DP_YAML_DEPTH_MAX, and
 * looking for a key twice compares one map's keys only.
 */
#include "lock/yaml_tree.h"

#include <apr_strings.h>
#include <string.h>
#include <yaml.h>

#include "lock/lock.h"

typedef struct reader_t {
    yaml_parser_t parser;
    yaml_event_t event; /* the one that is being read */
    int line;           /* of it, or of the error */
    apr_pool_t *pool;
} reader_t;

static const char *fail_at(reader_t *reader, int line, const char *wrong)
{
    reader->line = line;
    return wrong;
}

static const char *parser_error(reader_t *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    apr_size_t line = parser->problem_mark.line;

    if (parser->error == YAML_MEMORY_ERROR) {
        return "no memory to read YAML";
    }
    if (parser->error == YAML_READER_ERROR) {
        return fail_at(reader, (int)parser->mark.line + 1,
                       "this isn't UTF-8 text");
    }
    return fail_at(
        reader, (int)line + 1,
        apr_psprintf(reader->pool, "this isn't YAML: %s",
                     parser->problem ? parser->problem : "it can't be read"));
}

/* The next event. What YAML has and these texts don't is refused here. */
static const char *next(reader_t *reader)
{
    const yaml_event_t *event = &reader->event;

    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event)) {
        return parser_error(reader);
    }
    reader->line = (int)event->start_mark.line + 1;
    if (event->type == YAML_ALIAS_EVENT
        || (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor)
        || (event->type == YAML_SEQUENCE_START_EVENT
            && event->data.sequence_start.anchor)
        || (event->type == YAML_MAPPING_START_EVENT
            && event->data.mapping_start.anchor)) {
        return "anchors (&name) and aliases (*name) aren't allowed; write it "
               "out";
    }
    if ((event->type == YAML_SCALAR_EVENT && event->data.scalar.tag)
        || (event->type == YAML_SEQUENCE_START_EVENT
            && event->data.sequence_start.tag)
        || (event->type == YAML_MAPPING_START_EVENT
            && event->data.mapping_start.tag)) {
        return "tags (!name) aren't allowed";
    }
    return NULL;
}

/* The text of the event, a scalar. */
static const char *read_text(const char **text, reader_t *reader)
{
    const yaml_event_t *event = &reader->event;
    apr_size_t length = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;

    if (memchr(value, '\0', length)) {
        return "a zero byte isn't allowed";
    }
    *text = apr_pstrmemdup(reader->pool, value, length);
    return NULL;
}

static const char *read_key(dp_yaml_t *item, const dp_yaml_t *map,
                            reader_t *reader)
{
    const char *wrong;

    if (reader->event.type != YAML_SCALAR_EVENT) {
        return "a key must be a text";
    }
    wrong = read_text(&item->key, reader);
    item->key_line = reader->line;
    if (wrong == NULL && dp_yaml_get(map, item->key)) {
        wrong =
            apr_psprintf(reader->pool, "'%s' is there twice, first in line %d",
                         dp_lock_label(item->key, reader->pool),
                         dp_yaml_get(map, item->key)->key_line);
    }
    return wrong ? wrong : next(reader);
}

static const char *read_node(dp_yaml_t *node, reader_t *reader, int depth);

/* What is in the list or map that the event begins. */
static const char *read_items(dp_yaml_t *node, reader_t *reader, int depth)
{
    yaml_event_type_t end = node->kind == DP_YAML_LIST ? YAML_SEQUENCE_END_EVENT
                                                       : YAML_MAPPING_END_EVENT;
    const char *wrong;

    if (depth == DP_YAML_DEPTH_MAX) {
        return apr_psprintf(reader->pool,
                            "nested too deeply; allowed: %d "
                            "levels",
                            DP_YAML_DEPTH_MAX);
    }
    wrong = next(reader);
    node->items = apr_array_make(reader->pool, 4, sizeof(dp_yaml_t *));
    while (wrong == NULL && reader->event.type != end) {
        dp_yaml_t *item = apr_pcalloc(reader->pool, sizeof(*item));

        if (node->items->nelts == DP_YAML_ITEMS_MAX) {
            return apr_psprintf(reader->pool, "too many items; allowed: %d",
                                DP_YAML_ITEMS_MAX);
        }
        if (node->kind == DP_YAML_MAP) {
            wrong = read_key(item, node, reader);
        }
        if (wrong == NULL) {
            wrong = read_node(item, reader, depth + 1);
        }
        if (wrong == NULL) {
            APR_ARRAY_PUSH(node->items, dp_yaml_t *) = item;
            wrong = next(reader);
        }
    }
    return wrong;
}

/* The node that the event begins; afterwards the event is its last one. */
static const char *read_node(dp_yaml_t *node, reader_t *reader, int depth)
{
    node->line = reader->line;
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        node->kind = DP_YAML_TEXT;
        return read_text(&node->text, reader);
    case YAML_SEQUENCE_START_EVENT:
        node->kind = DP_YAML_LIST;
        return read_items(node, reader, depth);
    case YAML_MAPPING_START_EVENT:
        node->kind = DP_YAML_MAP;
        return read_items(node, reader, depth);
    default:
        return "there is nothing here";
    }
}

static const char *read_document(dp_yaml_t *root, reader_t *reader)
{
    const char *wrong = next(reader); /* the stream begins */

    if (wrong == NULL) {
        wrong = next(reader); /* the document begins */
    }
    if (wrong == NULL && reader->event.type == YAML_STREAM_END_EVENT) {
        wrong = "there is nothing here";
    }
    if (wrong == NULL) {
        wrong = next(reader);
    }
    if (wrong == NULL) {
        wrong = read_node(root, reader, 0);
    }
    if (wrong == NULL) {
        wrong = next(reader); /* the document ends */
    }
    if (wrong == NULL) {
        wrong = next(reader);
    }
    if (wrong == NULL && reader->event.type != YAML_STREAM_END_EVENT) {
        wrong = "a second document isn't allowed";
    }
    return wrong;
}

const char *dp_yaml_read(dp_yaml_t **root, int *line, const char *bytes,
                         apr_size_t size, apr_pool_t *result_pool)
{
    reader_t reader = {.line = 1, .pool = result_pool};
    const char *wrong;

    *line = 1;
    if (size > DP_YAML_BYTES_MAX) {
        return apr_psprintf(result_pool, "too long; allowed: %d bytes",
                            DP_YAML_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&reader.parser)) {
        return "no memory to read YAML";
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes,
                                 size);
    *root = apr_pcalloc(result_pool, sizeof(**root));
    wrong = read_document(*root, &reader);
    *line = reader.line;
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return wrong;
}

const dp_yaml_t *dp_yaml_get(const dp_yaml_t *map, const char *key)
{
    int i;

    for (i = 0; i < map->items->nelts; i++) {
        const dp_yaml_t *item = APR_ARRAY_IDX(map->items, i, dp_yaml_t *);

        if (strcmp(item->key, key) == 0) {
            return item;
        }
    }
    return NULL;
}

const char *dp_yaml_kind(dp_yaml_kind_e kind)
{
    static const char *const names[] = {"a text", "a list", "a map"};

    return names[kind];
}
